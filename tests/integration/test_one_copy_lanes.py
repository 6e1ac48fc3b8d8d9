"""Lanes of a model that another worker holds, over real sockets in one process, so that each moment can be chosen."""

import asyncio
import socket
import struct
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from one_copy_parts import Held, Registry, endpoint

from lockstep.errors import ArtifactInvalid, OutputMismatch
from lockstep.scoring.scorer import ScoredBatch
from lockstep.serving.errors import ClientGone, DeadlinePassed, NothingToRollBackTo, NotReady, Overloaded
from lockstep.serving.lane_limits import LaneLimits
from tests.unit.serving.test_lane import CULPRIT, NAN_AT, batch

WAIT_S = 5.0


@pytest.fixture
def path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="lockstep-") as folder:  # a short path, as a socket's must be
        yield Path(folder) / "owner.sock"


async def until(done: Callable[[], object]) -> None:
    ends = time.monotonic() + WAIT_S
    while not done():
        assert time.monotonic() < ends
        await asyncio.sleep(0.005)


async def behind_one(held: Held, *asked: Awaitable[object]) -> list[object]:
    """Let requests come while one runs, then let that end."""
    backend = held.registry.backend
    backend.hold.clear()
    calls = len(backend.threads)
    first = asyncio.create_task(held.lane.score(batch(1)))
    await until(lambda: len(backend.threads) > calls)
    tasks = [asyncio.ensure_future(each) for each in asked]
    await asyncio.sleep(0.15)
    backend.hold.set()
    await first
    return await asyncio.gather(*tasks, return_exceptions=True)


def numbers(answer: object) -> list[float]:
    assert isinstance(answer, tuple), answer
    scored: ScoredBatch = answer[0]
    return [float(each) for each in scored.values]


def test_rows_of_all_workers_run_together_and_each_gets_its_own(path: Path) -> None:
    async def run() -> None:
        async with endpoint(path) as (held, (one, other)):
            got = await behind_one(
                held, one.lane.score(batch(1, 10)), other.lane.score(batch(2, 20)), held.lane.score(batch(1, 30))
            )
            assert [numbers(each) for each in got] == [[20.0], [40.0, 42.0], [60.0]]
            assert held.sizes == [1, 4]
            (scored, work) = await one.lane.score(batch(3, NAN_AT - 1))
            (own, _) = await held.lane.score(batch(3, NAN_AT - 1))
            assert scored.reasons == own.reasons
            assert scored.reasons.keys() == {1}
            assert scored.values.tobytes() == own.values.tobytes()
            assert 0 < work.compute_s <= time.monotonic() - work.arrived
            empty, _ = await one.lane.score(batch(0))
            assert len(empty.values) == 0

    asyncio.run(run())


def test_only_the_culprit_fails_and_with_the_same_error(path: Path) -> None:
    async def run() -> None:
        async with endpoint(path) as (held, (one, other)):
            got = await behind_one(
                held, *(f.lane.score(batch(1, x)) for f, x in ((one, 1), (other, CULPRIT), (one, 3)))
            )
            assert (numbers(got[0]), numbers(got[2])) == ([2.0], [6.0])
            own = (await asyncio.gather(held.lane.score(batch(1, CULPRIT)), return_exceptions=True))[0]
            assert isinstance(own, OutputMismatch)
            assert (type(got[1]), str(got[1])) == (type(own), str(own))

    asyncio.run(run())


def test_a_full_queue_refuses_a_front_as_it_does_the_owner(path: Path) -> None:
    async def run() -> None:
        async with endpoint(path, Registry(limits=LaneLimits(waiting_requests=1, slo_s=60))) as (held, (one, other)):
            taken, *refused = await behind_one(
                held, one.lane.score(batch(1, 1)), other.lane.score(batch(1, 2)), held.lane.score(batch(1, 3))
            )
            taken, *refused = sorted((taken, *refused), key=lambda each: isinstance(each, Overloaded))
            assert isinstance(taken, tuple)
            assert [type(each) for each in refused] == [Overloaded, Overloaded]
            assert len({(str(each), each.retry_after_s) for each in refused if isinstance(each, Overloaded)}) == 1

    asyncio.run(run())


def test_what_nobody_waits_for_is_not_scored(path: Path) -> None:
    """A client that goes away, a deadline that passes, a request that is cancelled: the owner drops their rows."""

    async def run() -> None:
        async with endpoint(path) as (held, (one, other)):
            left = asyncio.Event()
            asyncio.get_running_loop().call_later(0.05, left.set)

            async def gone() -> None:
                await left.wait()

            cancelled = asyncio.ensure_future(other.lane.score(batch(1)))
            asyncio.get_running_loop().call_later(0.05, cancelled.cancel)
            late = one.lane.score(batch(1), expires=time.monotonic() + 0.05)
            got = await behind_one(
                held, one.lane.score(batch(1), gone=gone), late, cancelled, other.lane.score(batch(1, 4))
            )
            for found, kind in zip(got[:3], (ClientGone, DeadlinePassed, asyncio.CancelledError), strict=True):
                assert isinstance(found, kind)
            assert numbers(got[3]) == [8.0]
            assert held.sizes == [1, 1]

    asyncio.run(run())


def test_a_deadline_is_kept_while_the_owner_is_busy_or_hangs(path: Path) -> None:
    async def run() -> None:
        async with endpoint(path, fronts=1) as (held, (front,)):
            backend, began = held.registry.backend, time.monotonic()
            backend.hold.clear()
            with pytest.raises(DeadlinePassed, match="Allow the request more time"):
                await front.lane.score(batch(1), expires=began + 0.2)
            assert 0.2 <= time.monotonic() - began < 1.0
            backend.hold.set()
            assert numbers(await front.lane.score(batch(1, 2), expires=time.monotonic() + 5)) == [4.0]

    asyncio.run(run())


def test_an_owner_that_says_nothing_is_stuck_and_gets_no_more(path: Path) -> None:
    async def run() -> None:
        async with endpoint(path, fronts=1) as (held, (front,)):
            link = front.owned.link
            await until(lambda: link.pulse_at)
            front.lane.require_room()
            assert front.lane.stuck_s(time.monotonic()) == 0
            await held.stop()
            await until(link.away)
            with pytest.raises(NotReady, match="is starting"):
                front.lane.require_room()
            assert front.lane.stuck_s(time.monotonic()) == 0  # the supervisor starts it again
            held.start()
            await until(lambda: not link.away())
            await until(lambda: link.pulse_at)
            silent = time.monotonic() + 30
            assert front.lane.stuck_s(silent) > 29
            link.pulse_at = time.monotonic() - 30
            with pytest.raises(NotReady, match="does not answer"):
                front.lane.require_room()

    asyncio.run(run())


def test_when_the_owner_ends_requests_are_told_and_go_on_with_the_next_one(path: Path) -> None:
    async def run() -> None:
        async with endpoint(path) as (held, (one, other)):
            await until(lambda: one.owned.link.pulse_at and other.owned.link.pulse_at)
            await held.repository.load("toy", version=2)
            await until(lambda: [f.slot.current.identity.version for f in (one, other) if f.slot.current] == [2, 2])
            assert [f.slot.previous.identity.version for f in (one, other) if f.slot.previous] == [1, 1]
            held.registry.backend.hold.clear()
            running = [asyncio.ensure_future(front.lane.score(batch(1))) for front in (one, other)]
            await until(lambda: held.registry.backend.threads)
            await held.stop()
            got = await asyncio.gather(*running, return_exceptions=True)
            assert [type(each) for each in got] == [NotReady, NotReady]
            assert not one.fleet.ready
            with pytest.raises(NotReady, match="is starting"):
                one.fleet.find(None, None)
            held.registry.backend.hold.set()
            held.start()
            await until(lambda: one.fleet.ready and other.fleet.ready)
            for front in (one, other):
                version = front.fleet.find(None, None)
                assert version.identity.version == 1
                assert numbers(await version.lane.score(batch(1, 5))) == [10.0]
                await until(lambda front=front: front.slot.previous is None)  # as the new owner has none

    asyncio.run(run())


def test_all_serve_what_one_is_told(path: Path) -> None:
    async def run() -> None:
        async with endpoint(path) as (held, (one, other)):

            def all_serve(current: int | None, previous: int | None) -> bool:
                found = [
                    tuple(v.identity.version if v is not None else None for v in (slot.current, slot.previous))
                    for slot in (held.slot, one.slot, other.slot)
                ]
                return found == [(current, previous)] * 3

            with pytest.raises(NothingToRollBackTo):
                await one.repository.roll_back("toy")
            assert (await one.repository.load("toy", version=2)).identity.version == 2
            assert (one.slot.current or held.slot.previous) is not None
            await until(lambda: all_serve(2, 1))
            await other.repository.load("toy", version=3)
            await until(lambda: all_serve(3, 2))
            held.registry.broken.add(9)
            with pytest.raises(ArtifactInvalid, match="does not score its own input example"):
                await one.repository.load("toy", version=9)
            await other.repository.roll_back("toy")
            await until(lambda: all_serve(2, 3))
            await one.repository.unload("toy")
            await until(lambda: all_serve(None, None))
            with pytest.raises(NotReady):
                other.fleet.find(None, None)
            await other.repository.load("toy", version=4)
            await until(lambda: all_serve(4, None))
            assert numbers(await one.lane.score(batch(1, 6))) == [12.0]

    asyncio.run(run())


def test_a_version_is_kept_until_no_worker_answers_with_it(path: Path) -> None:
    async def run() -> None:
        async with endpoint(path, fronts=1) as (held, (front,)):
            await until(lambda: front.owned.link.pulse_at)
            first = front.slot.current
            assert first is not None
            with first:  # a request that began with it, and takes its time
                for number in (2, 3, 4):
                    await held.repository.load("toy", version=number)
                await until(lambda: front.slot.current and front.slot.current.identity.version == 4)
                assert numbers(await first.lane.score(batch(1, 7))) == [14.0]
            await until(lambda: first.retired)
            await asyncio.sleep(0.05)
            with pytest.raises(NotReady, match="version 1 is not loaded"):
                await first.lane.score(batch(1, 7))

    asyncio.run(run())


@pytest.mark.parametrize(
    "sent", [struct.pack("<II", 2**32 - 1, 0), struct.pack("<II", 2, 0) + b"[]", b"\x02\0\0\0\0\0\0\0{}"]
)
def test_who_sends_what_is_no_frame_is_cut_off_alone(path: Path, sent: bytes) -> None:
    async def run() -> None:
        async with endpoint(path, fronts=1) as (_, (front,)):
            with socket.socket(socket.AF_UNIX) as stranger:
                stranger.settimeout(WAIT_S)
                stranger.connect(str(path))
                stranger.sendall(sent)
                assert await asyncio.to_thread(_read, stranger) == b""
            assert numbers(await front.lane.score(batch(1, 8))) == [16.0]

    asyncio.run(run())


def _read(stranger: socket.socket) -> bytes:
    try:
        return stranger.recv(1)
    except ConnectionResetError:
        return b""
