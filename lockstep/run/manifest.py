"""What scoring produced: one accepted attempt per unit (`manifest.json`)."""

from typing import Any

from lockstep.run.plan import Record


class UnitResult(Record):
    """One finished attempt at a unit; paths are relative to the run folder.

    Attributes:
        unit: Unit id.
        staged: Parquet file of scored rows.
        quarantined: Parquet file of bad rows, if there are any.
        sha256: Hash of the staged file.
        reasons: Quarantined rows by reason.
        profile: Counts, histograms and sketches of inputs and output (see `lockstep.scoring.profile`).
        seconds: Wall time of reading, scoring and writing.
        stages_s: Seconds per stage; stages overlap.
        peak_bytes: Largest resident memory of the worker process up to the end of the unit.
        device: Where the model ran.
        bare_rows_per_s: Speed of the model alone on that device, measured when its block size was searched for.
    """

    unit: str
    staged: str
    quarantined: str | None = None
    rows_in: int
    rows_scored: int
    rows_quarantined: int
    size_bytes: int
    sha256: str
    reasons: dict[str, int] = {}
    profile: dict[str, Any] = {}
    seconds: float = 0.0
    stages_s: dict[str, float] = {}
    peak_bytes: int = 0
    device: str = ""
    bare_rows_per_s: float | None = None


class Manifest(Record):
    """The accepted attempts of a run, in unit order.

    Attributes:
        profile: The units' profiles, merged; the units here are without theirs.
    """

    run_key: str
    units: tuple[UnitResult, ...]
    profile: dict[str, Any] = {}

    @property
    def rows_in(self) -> int:
        """Rows read over all units."""
        return sum(unit.rows_in for unit in self.units)

    @property
    def rows_scored(self) -> int:
        """Rows staged over all units."""
        return sum(unit.rows_scored for unit in self.units)

    @property
    def rows_quarantined(self) -> int:
        """Rows set aside over all units."""
        return sum(unit.rows_quarantined for unit in self.units)

    @property
    def reasons(self) -> dict[str, int]:
        """Quarantined rows by reason over all units."""
        total: dict[str, int] = {}
        for unit in self.units:
            for reason, count in unit.reasons.items():
                total[reason] = total.get(reason, 0) + count
        return total
