"""Whatever goes wrong while a run is published, one more try gives exactly its rows, once, and no reader saw less.

`make test-faults FAULTS=200` hurts 200 publications for each warehouse; the ordinary tests take a share of that.
"""

import datetime as dt
import os
import pickle
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from lockstep.publish.contract import PublishRequest
from tests.publish.fault_server import ENDED, FAULTS, HURT_BY_IT, REFUSED, Job
from tests.publish.places import EMULATED, TABLE, Place
from tests.publish.reader import Reader
from tests.publish.staged import DAY, NOON

COUNT = int(os.environ.get("LOCKSTEP_FAULTS", "12"))
SEED = int(os.environ.get("LOCKSTEP_FAULT_SEED") or random.SystemRandom().randrange(2**32))
ROWS, OTHER_ROWS = 3_000, 5
LAST_POINTS = 60
HOW = {ENDED: "went through", HURT_BY_IT: "raised", REFUSED: "one clear error", -9: "died"}
OTHER_DAY = dt.date(2013, 8, 2)

Request = Callable[..., PublishRequest]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(3_600)]


class Server:
    """The program whose forks publish."""

    def __init__(self, kind: str, log: Path) -> None:
        command = [sys.executable, "-m", "tests.publish.fault_server", kind]
        pipe = subprocess.PIPE
        with log.open("wb") as errors:
            self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=errors)

    def run(self, job: Job) -> tuple[int, int]:
        """Run a job; return the exit code of its fork (negative: the signal) and the points that it passed."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        pickle.dump(job, self.process.stdin)
        self.process.stdin.flush()
        code, passed = self.process.stdout.readline().split()
        return int(code), int(passed)

    def close(self) -> None:
        """End the program."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        assert self.process.wait(timeout=30) == 0
        self.process.stdout.close()


@pytest.fixture
def server(place: Place, tmp_path: Path) -> Iterator[Server]:
    started = Server(place.kind, tmp_path / "forks.log")
    yield started
    started.close()


def entries_of(place: Place, token: int) -> list[str]:
    return [e.outcome for e in place.open().history(TABLE) if (e.partition, e.token) == (DAY, token)]


def read_again(place: Place) -> list[tuple[dt.date, str, int]]:
    """Read; a server that lost its disk is away for a moment."""
    for _ in range(200):
        try:
            return place.live()
        except psycopg.OperationalError:
            subprocess.run(["sleep", "0.1"], check=True)
    return place.live()


def choose_point(dice: random.Random, number: int, points: int, *, count: int) -> int:
    """Spread the points over the whole way; every third is one of the last, about and behind the commit."""
    if number % 3 == 0:
        return points - dice.randrange(min(points, LAST_POINTS))
    return 1 + (number * points) // count + dice.randrange(max(1, points // count))


def test_faults(place: Place, server: Server, request_for: Request, tmp_path: Path) -> None:
    dice = random.Random(SEED)
    requests = {key: request_for(key, 0, rows=ROWS, now=NOON) for key in ("a", "b")}
    place.open().publish(request_for("n", place.claim("n", OTHER_DAY), day=OTHER_DAY, rows=OTHER_ROWS))
    place.open().publish(replace(requests["a"], token=place.claim("a")))

    moment, live, ended = 0, "a", Counter[str]()
    faults = [fault for fault in FAULTS if (place.kind, fault) != ("postgresql", "disk full")]  # its disk is its own

    def request(run_key: str, token: int) -> PublishRequest:
        nonlocal moment
        moment += 1
        return replace(requests[run_key], token=token, now=NOON + dt.timedelta(minutes=moment))

    code, points = server.run(Job(place.kind, place.location, request("b", place.claim("b"))))
    assert (code, place.live()[0][1]) == (ENDED, "b")
    live = "b"
    reader = Reader(place, tmp_path)
    count = COUNT // 2 if place.kind in EMULATED else COUNT
    for number in range(count):
        coming = "a" if live == "b" else "b"
        token = place.claim(coming)
        at = choose_point(dice, number, points, count=count)
        hurt = request(coming, token)
        fault = faults[number % len(faults)]
        what = f"seed {SEED}, {fault} at point {at} of {points}"
        code, _ = server.run(Job(place.kind, place.location, hurt, point=at, fault=fault))
        days = {day: (run_key, rows) for day, run_key, rows in read_again(place)}
        assert days.keys() == {DAY, OTHER_DAY}, what
        assert days[DAY] in {("a", ROWS), ("b", ROWS)}, what
        assert days[OTHER_DAY] == ("n", OTHER_ROWS), what
        assert code in HOW, f"{what}: exit code {code}, no error of ours"
        ended[f"{fault} ({HOW[code]}): {'new' if days[DAY][0] == coming else 'old'} rows live"] += 1

        done = place.open().publish(request(coming, token))
        assert place.live() == [(DAY, coming, ROWS), (OTHER_DAY, "n", OTHER_ROWS)], what
        assert done.outcome == ("noop" if days[DAY][0] == coming else "published"), what
        assert entries_of(place, token).count("published") == 1, what
        live = coming

    seen = reader.seen()
    whole = {f'[["{DAY}", "{key}", {ROWS}], ["{OTHER_DAY}", "n", {OTHER_ROWS}]]' for key in "ab"}
    assert seen.keys() <= {*whole, "away"}, f"seed {SEED}: a reader saw {dict(seen)}"
    assert sum(seen[state] for state in whole) > (
        0 if place.kind == "duckdb" else count
    )  # its readers wait for writers
    print(f"{place.kind}: {count} faults over {points} points; {dict(ended)}; a reader saw {dict(seen)}")
    _all_ended_both_ways(ended)


def _all_ended_both_ways(ended: Counter[str]) -> None:
    """The points reach from before the commit to behind it."""
    assert any(what.endswith("new rows live") for what in ended), ended
    assert any(what.endswith("old rows live") for what in ended), ended
