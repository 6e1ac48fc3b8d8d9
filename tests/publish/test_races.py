"""Runs that publish at the same time, from processes of their own."""

import datetime as dt
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psutil
import pyarrow as pa
import pytest

from lockstep.errors import WarehouseBusy
from lockstep.publish.contract import PublishRequest, StagedFile
from tests.publish.conftest import make
from tests.publish.fault_server import ENDED, REFUSED, STOP, Job
from tests.publish.places import KINDS, TABLE, Place
from tests.publish.publisher import all_at_once, claim, plan_and_publish, publish, workers
from tests.publish.staged import DAY, NOON, staged_table
from tests.publish.test_faults import Server

ROUNDS, PARTITIONS, STOPS, TABLES = 3, 30, 6, 2
BANDS = pa.array(["low", "high"] * 3)

Request = Callable[..., PublishRequest]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def server(place: Place, tmp_path: Path) -> Iterator[Server]:
    started = Server(place.kind, tmp_path / "forks.log")
    yield started
    started.close()


def test_two_runs_race_for_one_partition(place: Place, request_for: Request) -> None:
    """Whoever comes first, the one that was planned later is live in the end, whole."""
    staged = [request_for(key, 0, rows=2_000 + i) for i, key in enumerate("abcd")]
    with workers(len(staged)) as pool:
        for round_ in range(ROUNDS):
            now = NOON + dt.timedelta(hours=round_)
            requests = [replace(r, token=place.claim(r.run_key), now=now) for r in staged]
            outcomes = all_at_once(pool, publish, place, requests)
            assert outcomes[-1] == "published"
            assert {outcome.partition(":")[0] for outcome in outcomes} <= {"published", "noop", "StaleRun"}
            assert place.live() == [(DAY, "d", 2_003)]
            staged = [*staged[1:], staged[0]] if round_ % 2 else staged[::-1]
            staged.sort(key=lambda r: r.run_key == "d")  # d is planned last in every round
            place.open().publish(replace(staged[0], token=place.claim(staged[0].run_key), now=now))


def test_thirty_partitions_are_backfilled_side_by_side(place: Place, request_for: Request) -> None:
    days = [DAY + dt.timedelta(days=i) for i in range(PARTITIONS)]
    requests = [request_for(f"run{i}", 0, day=day, rows=50 + i) for i, day in enumerate(days)]
    wanted = [(day, f"run{i}", 50 + i) for i, day in enumerate(days)]
    with workers(4) as pool:
        assert all_at_once(pool, plan_and_publish, place, requests) == ["published"] * PARTITIONS
        assert place.live() == wanted
        later = [replace(r, now=NOON + dt.timedelta(hours=1)) for r in requests]
        assert all_at_once(pool, plan_and_publish, place, later) == ["noop"] * PARTITIONS
    assert place.live() == wanted
    history = place.open().history(TABLE)
    assert sorted(entry.partition for entry in history if entry.outcome == "published") == days


def test_the_first_to_publish_make_and_change_the_table_together(
    place: Place, request_for: Request, stage: Callable[..., list[StagedFile]]
) -> None:
    days = [DAY + dt.timedelta(days=i) for i in range(4)]
    first = [request_for("first", 0, day=day) for day in days]
    rows = [staged_table("wider", rows=6, day=day) for day in days]
    wider = [
        request_for("wider", 0, day=day, files=stage("wider", day=day, table=table.append_column("band", BANDS)))
        for day, table in zip(days, rows, strict=True)
    ]
    with workers(len(days)) as pool:
        for round_ in range(TABLES):
            table = f"table_{round_}"
            for requests in (first, wider, first):
                made = [replace(request, table=table) for request in requests]
                if requests is first and place.open().history(table):
                    made = [replace(request, outcome="restored") for request in made]
                outcomes = all_at_once(pool, plan_and_publish, place, made)
                assert outcomes == [made[0].outcome] * len(days)
                assert place.live(table) == [(day, made[0].run_key, 6) for day in days]
            assert "band" in place.columns(table)


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_claims_of_a_warehouse(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Nothing is there yet, neither ledger nor namespace, and several runs are planned at once."""
    folders = [tmp_path / str(round_) for round_ in range(ROUNDS)]
    places = [make(kind, folder, request) for folder in folders]
    with workers(4) as pool:
        for folder, place in zip(folders, places, strict=True):
            folder.mkdir()
            found = all_at_once(pool, claim, place, ["a", "b", "c", "d"])
            assert len({int(token) for token in found}) == len(found)


def test_an_orphan_that_wakes_up_late_loses(place: Place, server: Server, request_for: Request) -> None:
    """A run stops in the middle of its publication, wherever that is; a newer one publishes; then it goes on."""
    old = request_for("old", 0, rows=500)
    news = [request_for(f"new{i}", 0, rows=600 + i) for i in range(2)]
    points = server.run(Job(place.kind, place.location, replace(old, token=place.claim("old")))).passed
    fenced = 0
    for number in range(STOPS):
        minutes, new = dt.timedelta(minutes=number), news[number % 2]
        orphan = replace(old, token=place.claim("old"), now=NOON + minutes)
        newest = replace(new, token=place.claim(new.run_key), now=NOON + minutes + dt.timedelta(seconds=30))
        job = Job(place.kind, place.location, orphan, point=1 + number * points // STOPS, fault=STOP)
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(server.run, job)
            stopped = wait_until_stopped(server.process.pid, running)
            held = overtake(place, newest)
            done = not held and orphan.token in {e.token for e in place.open().history(TABLE)}
            if stopped:
                os.kill(stopped, signal.SIGCONT)
            code = running.result(timeout=60).code
        fenced += code == REFUSED
        assert code == (ENDED if held or done or not stopped else REFUSED), job.point
        if held:
            assert place.live() == [(DAY, "old", 500)]
            place.open().publish(newest)
        assert place.live() == [(DAY, new.run_key, new.rows)], job.point
    assert fenced > 0


def overtake(place: Place, newest: PublishRequest) -> bool:
    """Publish the newer run; return whether the orphan, which stands still, keeps it from that."""
    try:
        place.open(wait_s=0.5).publish(newest)
    except WarehouseBusy:
        return True
    return False


def wait_until_stopped(parent: int, running: "Future[tuple[int, int]]") -> int | None:
    """Return the process that stopped itself; none when it had ended before."""
    while not running.done():
        for child in psutil.Process(parent).children():
            if child.status() == psutil.STATUS_STOPPED:
                return child.pid
        time.sleep(0.01)
    return None
