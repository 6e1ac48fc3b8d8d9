"""A program that publishes in forks of itself, each hurt at one point of its way.

A point is a line of Lockstep's publishing code, or of the library below it, that is about to run. It reads jobs as
pickles from standard input and answers each with a line: how the fork ended, behind which point it committed, and how
many points it passed.
"""

import contextlib
import importlib
import os
import pickle
import resource
import signal
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any

from lockstep.errors import LockstepError
from lockstep.publish.contract import PublishRequest
from lockstep.publish.warehouse import open_warehouse

MODULES = {
    "duckdb": ["duckdb", "lockstep.publish.sql.duckdb_engine", "lockstep.publish.sql.warehouse"],
    "postgresql": ["psycopg", "lockstep.publish.sql.postgres_engine", "lockstep.publish.sql.warehouse"],
    "bigquery": ["google.cloud.bigquery", "lockstep.publish.bigquery.warehouse"],
    "iceberg": ["pyiceberg.catalog.sql", "lockstep.publish.lake.iceberg_engine", "lockstep.publish.lake.warehouse"],
    "delta": ["lockstep.publish.lake.delta_engine", "lockstep.publish.lake.warehouse"],
}
HURT = (
    "lockstep/publish/",
    "pyiceberg/table/",
    "pyiceberg/catalog/",
    "deltalake/table.py",
    "adbc_driver_manager/dbapi.py",
    "google/cloud/bigquery/",
)
FAULTS = ("kill", "exception", "interrupt", "disk full", "connection cut", "answer lost")
STOP = "stop"  # until somebody lets it go on; of test_races.py
WAIT_S = 20
MESSAGE_BYTES = 4_096
COUNTS = struct.Struct("ii")
ENDED, HURT_BY_IT, REFUSED = 0, 3, 4


@dataclass(frozen=True)
class Job:
    """One publication and what shall go wrong with it.

    Attributes:
        point: Before which point; 0 for none.
        behind: Before which point behind the first commit instead; 0 for none.
        fault: Which of `FAULTS`, or `STOP`.
    """

    kind: str
    location: str
    request: PublishRequest
    point: int = 0
    behind: int = 0
    fault: str = "kill"


class Hurt(Exception):
    """The exception that comes out of nowhere."""


class Points:
    """Counts the lines that are about to run, and acts at one of them.

    Attributes:
        passed: How many there were.
        committed: How many of them before the first commit was done; -1 if there was none.
    """

    def __init__(self, job: Job) -> None:
        self.at, self.behind, self.act = job.point, job.behind, fault(job)
        self.passed, self.committed = 0, -1

    def note_commit(self) -> None:
        if self.committed < 0:
            self.committed = self.passed
            self.at = self.passed + self.behind if self.behind else self.at

    def calls(self, frame: FrameType, event: str, argument: Any) -> Any:
        return self.lines if any(part in frame.f_code.co_filename for part in HURT) else None

    def lines(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line":
            self.passed += 1
            if self.passed == self.at:
                self.act()
        return self.lines


def fault(job: Job) -> Callable[[], None]:
    """Return what happens at the point."""

    def kill() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def stumble() -> None:
        raise Hurt

    def interrupt() -> None:
        raise KeyboardInterrupt

    def fill_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    def cut() -> None:
        if job.kind == "postgresql":
            _end_connections(job)
        else:
            raise ConnectionResetError(104, "Connection reset by peer")

    def stop() -> None:
        os.kill(os.getpid(), signal.SIGSTOP)

    acts = (kill, stumble, interrupt, fill_disk, cut, lambda: None, stop)
    return dict(zip((*FAULTS, STOP), acts, strict=True))[job.fault]


def lost_answer(kind: str) -> Exception:
    """Return what a caller gets whose connection breaks while the warehouse commits."""
    said = "the answer was lost"
    if kind == "duckdb":
        from lockstep.publish.sql.duckdb_connection import CommitUnknown

        return CommitUnknown(said)
    if kind == "postgresql":
        from adbc_driver_manager import OperationalError

        return OperationalError("server closed the connection unexpectedly", status_code=10)
    if kind == "bigquery":
        from requests.exceptions import ConnectionError as Broken

        return Broken(said)
    if kind == "iceberg":
        from pyiceberg.exceptions import CommitStateUnknownException

        return CommitStateUnknownException(said)
    return OSError(said)


def after_commit(kind: str, act: Callable[[], None]) -> None:
    """Let something happen between the warehouse's commit and whoever waits for its answer."""
    if kind == "duckdb":
        from lockstep.publish.sql import duckdb_engine

        real = duckdb_engine.transaction

        @contextlib.contextmanager
        def transaction(connection: Any) -> Iterator[None]:
            with real(connection):
                yield
            act()

        duckdb_engine.transaction = transaction
    elif kind == "postgresql":
        from adbc_driver_manager import dbapi

        _follow(dbapi.Connection, "commit", act)
    elif kind == "bigquery":
        from lockstep.publish.bigquery.session import BigQuerySession

        _follow(BigQuerySession, "_job", act)
    elif kind == "iceberg":
        from pyiceberg.catalog.sql import SqlCatalog

        _follow(SqlCatalog, "commit_table", act)
    else:
        from deltalake import DeltaTable

        _follow(DeltaTable, "create_write_transaction", act)


def _follow(owner: type, name: str, act: Callable[[], None]) -> None:
    real = getattr(owner, name)

    def call(*args: Any, **kwargs: Any) -> Any:
        answer = real(*args, **kwargs)
        act()
        return answer

    setattr(owner, name, call)


def _end_connections(job: Job) -> None:
    """Let the server end our connections."""
    import psycopg

    trace = sys.gettrace()
    sys.settrace(None)
    with psycopg.connect(job.location, autocommit=True) as other:
        ours = "pid <> pg_backend_pid() AND application_name = %s"
        other.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {ours}", [f"fork-{os.getpid()}"])
    sys.settrace(trace)


def run(job: Job, answer: int) -> int:
    """Publish in this fork; write how many points it passed until it committed, and in all, to a pipe."""
    os.environ["PGAPPNAME"] = f"fork-{os.getpid()}"
    points, said = Points(job), ""

    def lose() -> None:
        raise lost_answer(job.kind)

    after_commit(job.kind, lose if job.fault == "answer lost" else points.note_commit)
    warehouse = open_warehouse(job.kind, job.location, wait_s=WAIT_S)
    sys.settrace(points.calls)
    try:
        warehouse.publish(job.request)
        return ENDED
    except (Hurt, KeyboardInterrupt, ConnectionResetError):
        return HURT_BY_IT
    except LockstepError as error:
        said = f"{job.fault} at {job.point}: {type(error).__name__}: {error}"  # our own disk may be full: to the pipe
        return REFUSED
    finally:
        sys.settrace(None)
        os.write(answer, COUNTS.pack(points.committed, points.passed) + said.encode()[:MESSAGE_BYTES])


def main() -> None:
    for name in MODULES[sys.argv[1]]:
        importlib.import_module(name)
    while True:
        try:
            job: Job = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        ours, theirs = os.pipe()
        child = os.fork()
        if child == 0:
            os._exit(run(job, theirs))
        os.close(theirs)
        counted, said = os.read(ours, COUNTS.size), b""
        while more := os.read(ours, MESSAGE_BYTES):
            said += more
        os.close(ours)
        _, status = os.waitpid(child, 0)
        committed, passed = COUNTS.unpack(counted) if counted else (-1, -1)
        if said:
            print(said.decode(errors="replace"), file=sys.stderr)
        print(os.waitstatus_to_exitcode(status), committed, passed, flush=True)


if __name__ == "__main__":
    main()
