"""Live progress of a scoring run: each worker's last word, in `progress/` of the run folder."""

import contextlib
import os
import platform
import time
from collections.abc import Callable, Mapping

from lockstep.errors import RunFolderUnusable
from lockstep.run.folder import RunFolder
from lockstep.run.plan import Record

PROGRESS = "progress"
EVERY_S = 1.0


class WorkerProgress(Record):
    """What one worker process has done of the unit that it is at, and since it began.

    Attributes:
        worker: Host and process id.
        unit: Unit in work.
        unit_rows: Rows of it that are read and dealt with.
        unit_reasons: Rows of it that were set aside, by reason.
        rows: Rows scored by this worker in this run, those of `unit` too.
        seconds: Time since its first unit began.
        peak_bytes: Largest resident memory so far.
        device: Where it scores.
        at: Seconds since the epoch.
    """

    worker: str
    unit: str
    unit_rows: int
    unit_reasons: dict[str, int]
    rows: int
    seconds: float
    peak_bytes: int
    device: str
    at: float


class Heartbeat:
    """Tells the run folder what this worker does, at most once in `EVERY_S` seconds."""

    def __init__(self, folder: RunFolder, *, device: str, peak_bytes: Callable[[], int]) -> None:
        self._folder = folder
        self._device = device
        self._peak_bytes = peak_bytes
        self._began = self._told = time.monotonic()
        self._rows = self._unit_rows = 0
        self._unit = ""
        self._reasons: Mapping[str, int] = {}

    def begin(self, unit: str, reasons: Mapping[str, int]) -> None:
        """Start a unit, whose bad rows are counted in `reasons` by the caller."""
        self._unit, self._unit_rows, self._reasons = unit, 0, reasons

    def add(self, rows: int) -> None:
        """Count rows, and tell if it is time."""
        self._rows += rows
        self._unit_rows += rows
        if time.monotonic() - self._told >= EVERY_S:
            self.tell()

    def tell(self) -> None:
        """Write the progress; a folder that cannot be written shows itself where it matters."""
        self._told = time.monotonic()
        worker = f"{platform.node() or 'host'}-{os.getpid()}"
        progress = WorkerProgress(
            worker=worker,
            unit=self._unit,
            unit_rows=self._unit_rows,
            unit_reasons=dict(self._reasons),
            rows=self._rows,
            seconds=round(self._told - self._began, 3),
            peak_bytes=self._peak_bytes(),
            device=self._device,
            at=time.time(),
        )
        with contextlib.suppress(RunFolderUnusable):
            self._folder.write_json(f"{PROGRESS}/{worker}.json", progress)


def worker_progress(folder: RunFolder) -> list[WorkerProgress]:
    """Return what the workers of a run last told."""
    names = [name for name in folder.names(PROGRESS) if name.endswith(".json")]
    return [folder.read_record(name, WorkerProgress, step="score") for name in names]


def clear_progress(folder: RunFolder) -> None:
    """Forget what the workers of an earlier attempt told."""
    for name in folder.names(PROGRESS):
        folder.remove(name)
