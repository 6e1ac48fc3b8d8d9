"""Bounds of one run."""

from pydantic import Field

from lockstep.specs.strict import Strict


class Limits(Strict):
    """Bounds of one run."""

    min_rows: int = Field(1, ge=0, description="Fewest input rows of a partition.")
    max_quarantined_fraction: float = Field(0.001, ge=0, le=1, description="Above it the audit fails (0..1).")
    max_drift_psi: float = Field(1.0, gt=0, description="Score PSI against training above which the audit fails.")
    batch_rows: int = Field(131_072, ge=1, description="Rows read and scored at a time.")
    batch_bytes: int = Field(64 * 2**20, ge=1, description="Most bytes, decoded, read and scored at a time.")
    unit_bytes: int = Field(
        128 * 2**20, ge=1, description="Most bytes of a work unit: uncompressed Parquet, read columns."
    )
    unit_rows: int = Field(2 * 2**20, ge=1, description="Most rows of a work unit; fewer for a model that is slow.")
    checks_spark_rows: int = Field(
        2**27, ge=0, description="Rows above which gate and audit measure with Spark instead of in one process."
    )
    timeout_s: int = Field(3_600, ge=1, description="Longest time of one Spark job, in seconds.")
