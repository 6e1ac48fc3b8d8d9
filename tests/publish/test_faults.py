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
from dataclasses import dataclass, replace
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
MANY = 100  # faults; so many of them fall on both sides of the commit
NEAR = 10  # points behind a commit
HOW = {ENDED: "went through", HURT_BY_IT: "raised", REFUSED: "one clear error", -9: "died"}
OTHER_DAY = dt.date(2013, 8, 2)

Request = Callable[..., PublishRequest]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(3_600)]


@dataclass(frozen=True)
class End:
    """How a fork ended.

    Attributes:
        code: Exit code; negative: the signal.
        committed: How many points it had passed when its first commit was done; -1: none was, or it died.
        passed: How many it passed in all; -1: it died.
    """

    code: int
    committed: int
    passed: int


class Server:
    """The program whose forks publish."""

    def __init__(self, kind: str, log: Path) -> None:
        command = [sys.executable, "-m", "tests.publish.fault_server", kind]
        pipe = subprocess.PIPE
        with log.open("wb") as errors:
            self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=errors)

    def run(self, job: Job) -> End:
        """Run a job in a fork."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        pickle.dump(job, self.process.stdin)
        self.process.stdin.flush()
        return End(*map(int, self.process.stdout.readline().split()))

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


class Partition:
    """One partition, whose rows are those of run "a" or "b" in turn."""

    def __init__(self, place: Place, server: Server, requests: dict[str, PublishRequest]) -> None:
        self.place, self.server, self.requests = place, server, requests
        self.moment, self.coming = 0, "b"
        self.end = End(ENDED, -1, -1)  # of the last fork that published and was not hurt

    def run(self, token: int, fault: str = "kill", *, point: int = 0, behind: int = 0) -> End:
        """Publish what is not live, in a fork."""
        self.moment += 1
        now = NOON + dt.timedelta(minutes=self.moment)
        request = replace(self.requests[self.coming], token=token, now=now)
        return self.server.run(Job(self.place.kind, self.place.location, request, point, behind, fault))

    def run_whole(self, token: int) -> None:
        """Do it in a fork that nobody hurts."""
        end = self.run(token)
        assert end.code == ENDED
        if entries_of(self.place, token)[-1] == "published":
            self.end = end
        assert self.place.live() == [(DAY, self.coming, ROWS), (OTHER_DAY, "n", OTHER_ROWS)]
        self.coming = "a" if self.coming == "b" else "b"


def test_faults(place: Place, server: Server, request_for: Request, tmp_path: Path) -> None:
    dice, ended = random.Random(SEED), Counter[str]()
    partition = Partition(place, server, {key: request_for(key, 0, rows=ROWS, now=NOON) for key in "ab"})
    place.open().publish(request_for("n", place.claim("n", OTHER_DAY), day=OTHER_DAY, rows=OTHER_ROWS))
    place.open().publish(replace(partition.requests["a"], token=place.claim("a")))
    for _ in range(2):
        partition.run_whole(place.claim(partition.coming))

    reader = Reader(place, tmp_path)
    remote = place.kind in {"postgresql", "bigquery"}  # whose disk is their own
    faults = [fault for fault in FAULTS if not (remote and fault == "disk full")]
    count = COUNT // 2 if place.kind in EMULATED else COUNT
    for number in range(count):
        fault, coming = faults[number % len(faults)], partition.coming
        token = place.claim(coming)
        if number // len(faults) % 2:
            point, behind = 0, 1 + dice.randrange(min(NEAR, partition.end.passed - partition.end.committed))
        else:  # the further, the later
            point, behind = 1 + int(partition.end.passed * (number + dice.random()) / count), 0
        what = f"seed {SEED}, {fault} at point {point}, or {behind} behind the commit, of {partition.end}"
        code = partition.run(token, fault, point=point, behind=behind).code
        days = {day: (run_key, rows) for day, run_key, rows in read_again(place)}
        assert days.keys() == {DAY, OTHER_DAY}, what
        assert days[DAY] in {("a", ROWS), ("b", ROWS)}, what
        assert days[OTHER_DAY] == ("n", OTHER_ROWS), what
        assert code in HOW, f"{what}: exit code {code}, no error of ours"
        committed = days[DAY][0] == coming
        ended[f"{fault} ({HOW[code]}): {'new' if committed else 'old'} rows live"] += 1

        partition.run_whole(token)
        assert entries_of(place, token).count("published") == 1, what
        assert entries_of(place, token)[-1] == ("noop" if committed else "published"), what

    seen = reader.seen()
    whole = {f'[["{DAY}", "{key}", {ROWS}], ["{OTHER_DAY}", "n", {OTHER_ROWS}]]' for key in "ab"}
    assert seen.keys() <= {*whole, "away"}, f"seed {SEED}: a reader saw {dict(seen)}"
    least = 0 if place.kind == "duckdb" else count  # its readers wait for writers
    assert sum(seen[state] for state in whole) > least
    passed = partition.end.passed
    print(f"{place.kind}: {count} faults over {passed} points; {dict(ended)}; a reader saw {dict(seen)}")
    _assert_both_sides(ended, faults if count >= MANY else [])


def _assert_both_sides(ended: Counter[str], faults: list[str]) -> None:
    """Some came before the commit, and some behind it."""
    sides = [(fault, state) for fault in faults for state in ("new", "old") if fault != "answer lost"]
    for fault, state in [*sides, ("answer lost", "new")]:
        assert any(what.startswith(fault) and what.endswith(f"{state} rows live") for what in ended), (fault, ended)
