"""A unit whose first attempt goes wrong on purpose: it waits for a rival, waits in vain, or dies half-way."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark import TaskContext

from lockstep.run.folder import RunFolder
from lockstep.run.plan import Unit
from lockstep.scoring import engine
from lockstep.scoring.attempts import finished
from lockstep.scoring.units import read_unit
from lockstep.steps.score import UnitFunction, UnitUdf

POLL_S, PATIENCE_S = 0.02, 120.0
LOST = "lost"  # file in the run folder: the attempt that waited has ended


def wait_for_rival(folder: RunFolder, unit: Unit) -> Iterator[None]:
    """Wait, before the first batch, until another attempt has finished the unit."""
    deadline = time.monotonic() + PATIENCE_S
    while finished(folder, unit) is None and time.monotonic() < deadline:
        time.sleep(POLL_S)
    yield


def wait_in_vain(_folder: RunFolder, _unit: Unit) -> Iterator[None]:
    """Wait, before the first batch, until Spark ends the task."""
    time.sleep(PATIENCE_S)
    yield


def die_half_way(_folder: RunFolder, _unit: Unit) -> Iterator[None]:
    """Die after the first batch is read."""
    yield
    os.kill(os.getpid(), signal.SIGKILL)


TROUBLES = {trouble.__name__: trouble for trouble in (wait_for_rival, wait_in_vain, die_half_way)}


def holding(udf: UnitUdf, folder: Path, *, unit: str, trouble: str) -> UnitUdf:
    """Make the first attempt at `unit` go wrong; `udf` is what `udfs.bulk.score_units` made."""

    def over(job: str) -> UnitFunction:
        scored = udf(job)

        def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            held: list[str] = []
            if first_attempt():
                engine.read_unit = reading(RunFolder(folder), trouble, unit=unit, held=held)  # type: ignore[assignment]
            try:
                yield from scored(batches)
            finally:
                engine.read_unit = read_unit
            if held:
                (folder / LOST).touch()

        return run

    return over


def first_attempt() -> bool:
    """Whether this is the first attempt of the running task."""
    context = TaskContext.get()
    return context is not None and context.attemptNumber() == 0


def reading(folder: RunFolder, trouble: str, *, unit: str, held: list[str]) -> Callable[..., Iterator[pa.RecordBatch]]:
    """Return a `read_unit` that does the trouble before a unit's first batch and between it and the next.

    Once that unit is read its id is put into `held`.
    """

    def read(root: Path | None, wanted: Unit, **kwargs: Any) -> Iterator[pa.RecordBatch]:
        troubles: Iterator[None] = iter(())
        if wanted.id == unit:
            held.append(unit)
            troubles = TROUBLES[trouble](folder, wanted)
        for batch in read_unit(root, wanted, **kwargs):
            next(troubles, None)
            yield batch
        next(troubles, None)

    return read
