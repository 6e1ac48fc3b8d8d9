"""Bodies: while one arrives its request has no place, and large ones together have so much room."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from lockstep.serving.data_plane import DataPlane, Limits
from lockstep.serving.errors import ClientGone, Overloaded, PayloadTooLarge
from lockstep.serving.exchange import SMALL_BODY_BYTES, Arrivals, Exchange
from tests.unit.serving.toy import Head, Headers, Wire, acall, app_of

JSON = {"content-type": "application/json"}
LARGE = SMALL_BODY_BYTES + 1


class Held(Wire):
    """A body whose second half comes when it is let go."""

    def __init__(self, body: bytes) -> None:
        super().__init__([body])
        self.let_go = asyncio.Event()

    async def __call__(self) -> bytes:
        await self.let_go.wait()
        return self.pieces[0]

    async def __aiter__(self) -> AsyncIterator[bytes]:
        half = len(self.pieces[0]) // 2
        yield self.pieces[0][:half]
        await self.let_go.wait()
        yield self.pieces[0][half:]


def head(length: int | None) -> Head:
    declared = {} if length is None else {"content-length": str(length)}
    return Head("POST", "/invocations", "", Headers({**JSON, **declared}))


async def read(wire: Wire, arrivals: Arrivals, *, length: int | None, limit_bytes: int = 2**30) -> bytes:
    return await Exchange(head(length), wire).body(arrivals, limit_bytes=limit_bytes, timeout_s=10)


def test_a_place_is_taken_only_once_the_body_is_here(
    make_plane: Callable[[Limits], DataPlane], row: dict[str, Any]
) -> None:
    body = json.dumps({"dataframe_records": [row]}).encode()
    plane = make_plane(Limits(in_progress=1))
    app = app_of(plane)

    async def run() -> list[int]:
        slow = [Held(body) for _ in range(5)]
        tasks = [asyncio.create_task(app(head(len(body)), wire)) for wire in slow]
        await asyncio.sleep(0)
        assert (plane.metrics.in_progress, plane.admitted.taken) == (5, 0)
        prompt = await acall(app, "/invocations", body, headers=JSON)
        for wire, task in zip(slow, tasks, strict=True):
            wire.let_go.set()
            await task
        return [prompt.status, *(wire.answer.status for wire in slow if wire.answer is not None)]

    assert asyncio.run(run()) == [200] * 6


def test_without_a_place_a_body_is_not_even_read(make_plane: Callable[[Limits], DataPlane]) -> None:
    plane = make_plane(Limits(in_progress=1))

    class Unread(Wire):
        async def __call__(self) -> bytes:
            raise AssertionError

    async def run() -> Wire:
        wire = Unread([])
        with plane.admitted:
            await app_of(plane)(head(9), wire)
        return wire

    answer = asyncio.run(run()).answer
    assert answer is not None
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")


@pytest.mark.parametrize("length", [LARGE, None])
def test_a_large_body_takes_room_for_what_has_come_and_gives_it_back(length: int | None) -> None:
    async def run() -> list[int]:
        arrivals, wire = Arrivals(2 * LARGE), Held(b"x" * LARGE)
        task = asyncio.create_task(read(wire, arrivals, length=length))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        during = arrivals.taken_bytes
        wire.let_go.set()
        assert await task == b"x" * LARGE
        return [during, arrivals.taken_bytes]

    assert asyncio.run(run()) == [LARGE // 2, 0]


@pytest.mark.parametrize(("limits", "error"), [((LARGE - 1, 2**30), Overloaded), ((2**30, LARGE - 1), PayloadTooLarge)])
def test_what_is_too_much_is_refused_and_the_room_given_back(limits: tuple[int, int], error: type[Exception]) -> None:
    arrivals = Arrivals(limits[0])
    with pytest.raises(error):
        asyncio.run(read(Wire([b"x" * 1000] * (LARGE // 1000 + 1)), arrivals, length=None, limit_bytes=limits[1]))
    assert arrivals.taken_bytes == 0


def test_small_bodies_need_no_room() -> None:
    assert asyncio.run(read(Wire([b"abc"]), Arrivals(0), length=3)) == b"abc"


@pytest.mark.parametrize("length", [4, LARGE])
def test_a_body_that_ends_too_early_is_of_a_client_that_went_away(length: int) -> None:
    with pytest.raises(ClientGone):
        asyncio.run(read(Wire([b"abc"]), Arrivals(10), length=length))


def test_no_room_is_503_and_closes_the_connection(make_plane: Callable[[Limits], DataPlane]) -> None:
    app = app_of(make_plane(Limits(arriving_bytes=10)))
    answer = asyncio.run(acall(app, "/invocations", [b"x" * 8, b"x" * 8], headers=JSON))
    assert (answer.status, answer.headers["retry-after"], answer.headers["connection"]) == (503, "1", "close")
