"""How far a scoring run is: from finished units and from what the workers last told."""

from collections import Counter
from dataclasses import dataclass

from lockstep.run.folder import RunFolder
from lockstep.run.manifest import UnitResult
from lockstep.run.plan import ScoringInput
from lockstep.run.progress import WorkerProgress, worker_progress
from lockstep.scoring.attempts import RESULT, STAGING


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


def progress_of(folder: RunFolder, wanted: ScoringInput) -> RunProgress:
    """Read the progress of a run that is being scored."""
    workers = tuple(worker_progress(folder))
    done = {result.unit: result for result in _results(folder)}
    at_work = [worker for worker in workers if worker.unit not in done]
    rows = sum(unit.rows for unit in wanted.units if unit.id in done) + sum(w.unit_rows for w in at_work)
    reasons: Counter[str] = Counter()
    for result in done.values():
        reasons.update(result.reasons)
    for worker in at_work:
        reasons.update(worker.unit_reasons)
    return RunProgress(min(rows, wanted.rows), wanted.rows, sum(reasons.values()), dict(reasons), workers)


def _results(folder: RunFolder) -> list[UnitResult]:
    names = [name for name in folder.names(STAGING) if name.endswith(RESULT)]
    return [folder.read_record(name, UnitResult, step="score") for name in names]


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "100 %"


def _duration(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 3600} h {whole % 3600 // 60} min" if whole >= 3600 else f"{whole // 60} min {whole % 60} s"
