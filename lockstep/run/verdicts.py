"""What gate and audit found, as far as somebody needs it who has none of the libraries that found it."""

import datetime as dt
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from lockstep.run.folder import AUDIT, GATE
from lockstep.storage.files import Location

Stage = Literal["gate", "audit"]
FILES: dict[Stage, str] = {"gate": GATE, "audit": AUDIT}
# Of the checks on drift; see lockstep/quality/drift_limits.py.
DRIFT_NAMES = ("limits.max_drift_psi", "score_drift_nears_its_limit", "feature_nulls")
DRIFT_PREFIX = "drift."


class Seen(BaseModel):
    """Base of these views: what they do not know, they skip."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class SeenCheck(Seen):
    """One check; see `lockstep.quality.results.CheckResult`."""

    kind: str
    name: str
    target: str = ""
    severity: Literal["critical", "warning"]
    success: bool
    observed: str
    expected: str
    why: str = ""

    @property
    def is_drift(self) -> bool:
        """Whether it judges drift."""
        return self.name in DRIFT_NAMES or self.name.startswith(DRIFT_PREFIX)

    def line(self) -> str:
        """Say it in one line."""
        on = f" on {self.target}" if self.target else ""
        return f"{self.name}{on}: got {self.observed}, expected {self.expected}"


class SeenDrift(Seen):
    """Drift of one column; see `lockstep.quality.drift.ColumnDrift`."""

    column: str
    psi: float
    reference: str = "training"


class SeenVerdict(Seen):
    """The outcome of gate or audit; see `lockstep.quality.verdict.Verdict`."""

    stage: Stage
    run_key: str
    passed: bool
    checked_at: dt.datetime
    rows: int
    docs: str | None = None
    results: tuple[SeenCheck, ...] = ()
    drift: tuple[SeenDrift, ...] = ()

    def failed(self, severity: Literal["critical", "warning"]) -> list[SeenCheck]:
        """Return the checks of a severity that did not hold."""
        return [check for check in self.results if not check.success and check.severity == severity]

    def psi(self, column: str, *, reference: str = "training") -> float | None:
        """Return how far a column is from a reference; none when that was not measured."""
        return next((d.psi for d in self.drift if (d.column, d.reference) == (column, reference)), None)


def seen_verdict(run_folder: Location, stage: Stage) -> SeenVerdict | None:
    """Return what a stage of a run found; none: it has not got that far, or its record is of another Lockstep."""
    try:
        return SeenVerdict.model_validate_json((run_folder / FILES[stage]).read_bytes())
    except (OSError, ValidationError):
        return None
