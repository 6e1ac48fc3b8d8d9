"""A unit whose first attempt goes wrong on purpose: it waits for a rival, waits in vain, or dies half-way."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark import TaskContext

from lockstep.run.folder import RunFolder
from lockstep.run.plan import Unit
from lockstep.scoring import engine
from lockstep.scoring.units import read_unit
from lockstep.steps.score import UnitFunction

Over = Callable[[Sequence[Sequence[str]]], UnitFunction]
POLL_S, PATIENCE_S = 0.02, 120.0
LOST = "lost"  # file in the run folder: the attempt that waited has ended


def wait_for_rival(folder: RunFolder, unit: Unit) -> Iterator[None]:
    """Wait, before the first batch, until another attempt has finished the unit."""
    deadline = time.monotonic() + PATIENCE_S
    while engine.finished(folder, unit) is None and time.monotonic() < deadline:
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


def holding(udf: Over, folder: Path, *, unit: str, trouble: str) -> Over:
    """Make the first attempt at `unit` go wrong; `udf` is what `udfs.bulk.score_units` made."""

    def over(tasks: Sequence[Sequence[str]]) -> UnitFunction:
        scored = udf(tasks)

        def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for batch in batches:
                texts = [text for place in batch.column("id").to_pylist() for text in tasks[place]]
                held = any(Unit.model_validate_json(text).id == unit for text in texts) and first_attempt()
                if held:
                    engine.read_unit = reading(RunFolder(folder), trouble, held=unit)  # type: ignore[assignment]
                try:
                    yield from scored(iter([batch]))
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


def reading(folder: RunFolder, trouble: str, *, held: str) -> Callable[..., Iterator[pa.RecordBatch]]:
    """Return a `read_unit` that does the trouble before the held unit's first batch and between it and the next."""

    def read(root: Path | None, unit: Unit, **kwargs: Any) -> Iterator[pa.RecordBatch]:
        troubles = TROUBLES[trouble](folder, unit) if unit.id == held else iter(())
        for batch in read_unit(root, unit, **kwargs):
            next(troubles, None)
            yield batch
        next(troubles, None)

    return read
