"""What scoring produced: one accepted attempt per unit (`manifest.json`)."""

from typing import Any

from lockstep.run.plan import Record


class UnitResult(Record):
    """One finished attempt at a unit; paths are relative to the run folder.

    Attributes:
        unit: Unit id.
        staged: Parquet file of scored rows.
        quarantined: Parquet file of bad rows, if there are any.
        rows_quarantined: Rows without a score, in the quarantine or, with an error column, in the staged file.
        rows_staged: Rows of the staged file.
        sha256: Hash of the staged file.
        reasons: Quarantined rows by reason.
        profile: Counts, histograms and sketches of inputs and output (see `lockstep.scoring.profile`).
        seconds: Wall time of reading, scoring and writing.
        stages_s: Seconds per stage; stages overlap.
        peak_bytes: Largest resident memory of the worker process up to the end of the unit.
        device: Where the model ran.
        bare_s: Seconds that the model alone takes for these rows at the speed that was measured when its block size was
            searched for; none when it was not.
    """

    unit: str
    staged: str
    quarantined: str | None = None
    rows_in: int
    rows_scored: int
    rows_quarantined: int
    rows_staged: int
    size_bytes: int
    sha256: str
    reasons: dict[str, int] = {}
    profile: dict[str, Any] = {}
    seconds: float = 0.0
    stages_s: dict[str, float] = {}
    peak_bytes: int = 0
    device: str = ""
    bare_s: float | None = None


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
        """Rows with a score over all units."""
        return sum(unit.rows_scored for unit in self.units)

    @property
    def rows_staged(self) -> int:
        """Rows of the staged files, which are published."""
        return sum(unit.rows_staged for unit in self.units)

    @property
    def rows_quarantined(self) -> int:
        """Rows without a score over all units."""
        return sum(unit.rows_quarantined for unit in self.units)

    @property
    def reasons(self) -> dict[str, int]:
        """Quarantined rows by reason over all units."""
        total: dict[str, int] = {}
        for unit in self.units:
            for reason, count in unit.reasons.items():
                total[reason] = total.get(reason, 0) + count
        return total

    @property
    def stages_s(self) -> dict[str, float]:
        """Seconds per stage over all units; stages of a worker overlap."""
        total: dict[str, float] = {}
        for unit in self.units:
            for stage, seconds in unit.stages_s.items():
                total[stage] = total.get(stage, 0.0) + seconds
        return total

    @property
    def worker_seconds(self) -> float:
        """Time that workers spent on units: reading, scoring and writing."""
        return sum(unit.seconds for unit in self.units)

    @property
    def percent_of_bare_model(self) -> float | None:
        """Throughput as percent of what the model alone, without reading and writing, does; none when not measured."""
        alone = [unit.bare_s for unit in self.units if unit.bare_s is not None]
        if not alone or len(alone) < len(self.units) or not self.worker_seconds:
            return None
        return 100 * sum(alone) / self.worker_seconds

    @property
    def peak_bytes(self) -> int:
        """Largest resident memory that one worker had."""
        return max((unit.peak_bytes for unit in self.units), default=0)

    @property
    def devices(self) -> tuple[str, ...]:
        """Where models ran."""
        return tuple(sorted({unit.device for unit in self.units if unit.device}))
