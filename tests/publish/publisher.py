"""Publishes in processes of their own, as tasks of several workers do."""

import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from lockstep.errors import LockstepError
from lockstep.publish.contract import PublishRequest, ReportingTable
from tests.publish.places import TABLE, Place
from tests.publish.staged import DAY, NOON

WAIT_S = 60


def plan_and_publish(place: Place, request: PublishRequest) -> str:
    """Claim and publish; return the outcome or the error's name."""
    token = (
        place.open(WAIT_S)
        .claim(request.table, partition=request.partition, run_key=request.run_key, now=request.now)
        .token
    )
    return publish(place, replace(request, token=token))


def claim(place: Place, run_key: str) -> str:
    """Claim a token; return it, or the error's name."""
    try:
        return str(place.open(WAIT_S).claim(TABLE, partition=DAY, run_key=run_key, now=NOON).token)
    except LockstepError as error:
        return f"{type(error).__name__}: {error}"


def publish(place: Place, request: PublishRequest) -> str:
    """Publish; return the outcome or the error's name."""
    try:
        return place.open(WAIT_S).publish(request).outcome
    except LockstepError as error:
        return f"{type(error).__name__}: {error}"


def place_and_die(place: Place, request: PublishRequest) -> None:
    """Publish, and be killed when the files are there and the commit is to be made."""
    engine = place.open().engine  # type: ignore[attr-defined]
    type(engine).commit = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
    place.open(WAIT_S).publish(request)


def publish_run(folder: str, root: Path, location: str) -> str:
    """Publish a scored run of the little spec to tables of Delta; return the outcome."""
    from lockstep.run.folder import RunFolder  # the other workers need none of this, and importing takes a second
    from lockstep.steps.publish import publish as publish_step
    from tests.unit.steps.runs import make_settings

    os.environ["LOCKSTEP_DELTA"] = location
    return str(publish_step(RunFolder.at(folder), make_settings(root))["outcome"])


def refresh(place: Place, table: ReportingTable) -> str:
    """Recompute a reporting table; return how many rows it has, or the error's name."""
    try:
        return f"{place.open(WAIT_S).refresh_reporting(table, None)} rows"
    except LockstepError as error:
        return f"{type(error).__name__}: {error}"


@contextmanager
def workers(count: int) -> Iterator[ProcessPoolExecutor]:
    """Start processes that have imported what they need."""
    with ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


def all_at_once(pool: ProcessPoolExecutor, work: object, place: Place, requests: Sequence[object]) -> list[str]:
    """Run a function of this module on requests, tables or run keys; return what came out, in their order."""
    return list(pool.map(work, [place] * len(requests), requests))  # type: ignore[call-overload]
