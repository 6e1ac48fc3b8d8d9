"""How far a scoring run is: from finished units and from what the workers last told."""

import time
from collections import Counter
from dataclasses import dataclass

from lockstep.run.folder import RunFolder
from lockstep.run.manifest import UnitResult
from lockstep.run.plan import ScoringInput
from lockstep.run.progress import WorkerProgress, worker_progress
from lockstep.scoring.attempts import results_by_unit

# Times as long as a look took before the next.
PATIENCE = 9


@dataclass(frozen=True)
class RunProgress:
    """Progress of a run.

    Attributes:
        rows: Rows of finished units and of units in work.
        total: Rows of the run.
        quarantined: Rows without a score so far.
        reasons: Quarantined rows by reason.
        workers: What each worker process last told.
    """

    rows: int
    total: int
    quarantined: int
    reasons: dict[str, int]
    workers: tuple[WorkerProgress, ...]

    @property
    def rows_per_s(self) -> float:
        """Rows per second over all workers, since each began."""
        return sum(worker.rows / worker.seconds for worker in self.workers if worker.seconds)

    @property
    def seconds_left(self) -> float | None:
        """Estimated time to the end; none while the speed is unknown."""
        return (self.total - self.rows) / self.rows_per_s if self.rows_per_s else None

    def line(self) -> str:
        """Say it in one line."""
        text = f"{self.rows:,} of {self.total:,} rows ({_percent(self.rows, self.total)})"
        if self.seconds_left is not None:
            text += f", {self.rows_per_s:,.0f} rows/s, {_duration(self.seconds_left)} left"
        text += f", {self.quarantined:,} quarantined"
        if self.workers:
            each = ", ".join(f"{w.worker} {w.rows:,} rows on {w.device}" for w in self.workers)
            text += f"; {len(self.workers)} workers: {each}"
        return text


class ProgressWatch:
    """Reads the progress of a run that is being scored, again and again, and each result once.

    Of a long run the listing alone takes seconds; so looking takes at most one part in `PATIENCE` of the time.
    """

    def __init__(self, folder: RunFolder, wanted: ScoringInput) -> None:
        self._folder = folder
        self._total = wanted.rows
        self._rows_of = {unit.id: unit.rows for unit in wanted.units}
        self._done: set[str] = set()
        self._rows = 0
        self._reasons: Counter[str] = Counter()
        self._seen: RunProgress | None = None
        self._look_again_at = 0.0

    def look(self, *, now: bool = False) -> RunProgress:
        """Return the progress, or what was seen last if that took long; `now` looks in any case."""
        began = time.monotonic()
        if self._seen is None or now or began >= self._look_again_at:
            self._seen = self._look()
            ended = time.monotonic()
            self._look_again_at = ended + PATIENCE * (ended - began)
        return self._seen

    def _look(self) -> RunProgress:
        workers = tuple(worker_progress(self._folder))
        new = [name for unit, name in results_by_unit(self._folder).items() if unit not in self._done]
        for result in self._folder.read_records(new, UnitResult, step="score"):
            self._done.add(result.unit)
            self._rows += self._rows_of.get(result.unit, 0)
            self._reasons.update(result.reasons)
        at_work = [worker for worker in workers if worker.unit not in self._done]
        rows, reasons = self._rows + sum(worker.unit_rows for worker in at_work), Counter(self._reasons)
        for worker in at_work:
            reasons.update(worker.unit_reasons)
        return RunProgress(min(rows, self._total), self._total, sum(reasons.values()), dict(reasons), workers)


def progress_of(folder: RunFolder, wanted: ScoringInput) -> RunProgress:
    """Read the progress of a run that is being scored, once."""
    return ProgressWatch(folder, wanted).look()


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "100 %"


def _duration(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 3600} h {whole % 3600 // 60} min" if whole >= 3600 else f"{whole // 60} min {whole % 60} s"
