"""What gate and audit write: `gate.json` and `audit.json`."""

import datetime as dt
from typing import Literal

from lockstep.errors import CheckFailed
from lockstep.quality.drift import ColumnDrift, ColumnTrend, DriftWindow
from lockstep.quality.histogram import ScoreHistogram
from lockstep.quality.measurement import EngineName
from lockstep.quality.results import CheckResult, critical_failures, warnings_of
from lockstep.run.plan import Record


class Verdict(Record):
    """The outcome of gate or audit.

    Attributes:
        rows: Rows that were checked.
        manifest_sha256: Hash of the `manifest.json` that was audited; the gate has none.
        engine: What measured the rows.
        docs: The data docs' first page, relative to the run folder; none when the suite was not run.
        drift: Drift of score and features against training, largest first, then against the trailing window; empty
            when there is neither.
        trends: Drift of the score and of the features that moved most, day by day.
        window: The days of the trailing window; none when nothing was measured.
        score: Histogram of the score.
    """

    stage: Literal["gate", "audit"]
    run_key: str
    partition: dt.date
    passed: bool
    checked_at: dt.datetime
    rows: int
    manifest_sha256: str | None = None
    engine: EngineName = "embedded"
    docs: str | None = None
    results: tuple[CheckResult, ...]
    drift: tuple[ColumnDrift, ...] = ()
    trends: tuple[ColumnTrend, ...] = ()
    window: DriftWindow | None = None
    score: ScoreHistogram | None = None

    def summary(self, *, reused: bool) -> dict[str, object]:
        """Return the figures of the step."""
        return {
            "passed": self.passed,
            "rows": self.rows,
            "checks": len(self.results),
            "warnings": warnings_of(self.results),
            "reused": reused,
        }

    def stop_if_failed(self, details: str) -> None:
        """Raise `CheckFailed`, with a line per critical failure, unless the stage passed.

        Args:
            details: Where a person reads more.
        """
        if not self.passed:
            failures = critical_failures(self.results)
            raise CheckFailed(self.stage, partition=self.partition.isoformat(), failures=failures, report=details)


def passed(results: "list[CheckResult]") -> bool:
    """Whether no critical check failed."""
    return not critical_failures(results)
