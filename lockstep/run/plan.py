"""What a run is: `plan.json`, `claim.json` and `input.json`."""

import datetime as dt
import sys
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

from lockstep.specs.spec import ScoringSpec

# A text that very many records have in common, held once.
SharedText = Annotated[str, AfterValidator(sys.intern)]


class Record(BaseModel):
    """Base of everything stored in a run folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Column(Record):
    """A column of a model signature.

    Attributes:
        dtype: MLflow's name (string, double, long, ...) of a value or, for a tensor, of its elements.
        shape: Shape of one row of a tensor column, which Arrow holds as fixed-size lists; none for a plain value.
    """

    name: str
    dtype: str
    required: bool = True
    shape: tuple[int, ...] | None = None


class ModelIdentity(Record):
    """The frozen model of a run: resolved once, then only this version and digest count."""

    name: str
    version: int
    alias: str | None = None
    model_id: str | None = None
    digest: str
    location: str
    inputs: tuple[Column, ...]
    outputs: tuple[Column, ...]


class SourceFile(Record):
    """One file of the input snapshot.

    Attributes:
        version: What else tells versions of the file apart: an entity tag, or the schema of its Iceberg table.
    """

    view: str
    path: str
    size_bytes: int
    mtime_ns: int
    version: str = ""


class PrecisionMeasure(Record):
    """What reduced precision does to the scores, measured when the run was planned.

    Attributes:
        source: Where the sample is from: the table, the model's baseline or its input example.
        rows: Sampled rows.
        max_difference, mean_difference: Absolute, from float32, over all published outputs.
        limit: What the spec allows.
    """

    precision: str
    device: str
    source: str
    rows: int
    max_difference: float
    mean_difference: float
    limit: float


class CanaryPlan(Record):
    """A challenger that is to answer for some rows of a run.

    Attributes:
        alias, version, digest: The challenger, resolved when the run was planned.
        fraction: Share of the rows by the ramp, above 0.
        by: Columns whose values stay in one arm.
        salt: Of the split (see `lockstep.scoring.arms`).
    """

    alias: str
    version: int
    digest: str
    fraction: float
    by: tuple[str, ...]
    salt: str


class Plan(Record):
    """The frozen identity of a scoring run (`plan.json`).

    Attributes:
        canary: Who answers for some of the rows; none: the model of the run answers for all.
        environment: Libraries that differ from those that the model was logged with, one text each.
        precision: Measured where the spec asks for another than float32.
    """

    format: int = 1
    run_key: str
    partition: dt.date
    spec: ScoringSpec
    spec_hash: str
    model: ModelIdentity
    input_digest: str
    sources: tuple[SourceFile, ...]
    data_root: str
    warehouse: str
    cache_root: str
    code_version: str
    planned_at: dt.datetime
    environment: tuple[str, ...] = ()
    precision: PrecisionMeasure | None = None
    canary: CanaryPlan | None = None

    def bad_rows_allowed(self, rows: int) -> int:
        """Return how many of `rows` input rows may be quarantined before the audit fails."""
        return int(self.spec.limits.max_quarantined_fraction * rows)


class Claim(Record):
    """The right to publish (`claim.json`): a fencing token from the ledger, renewed by every plan."""

    token: int
    table: str
    claimed_at: dt.datetime
    already_live: bool


class DayFilter(Record):
    """Only the rows of one day: `column`, as the file calls it, holds dates or their ISO text."""

    column: str
    day: dt.date


class Piece(Record):
    """Rows of one file: `rows` rows from `row_start` on, counted within the row groups `[start, stop)`.

    Attributes:
        path: Relative to the run folder, or absolute, or a URL of an object store.
        constants: Values of columns that the file does not hold (hive partitions), as text; none is null.
        renamed: Wanted name to the name in this file, where they differ (a table format renamed the column).
        where: Which of the rows count; none: all.
        file_bytes, mtime_ns: Of the file when it was planned; none is not checked.
    """

    path: str
    row_group_start: int
    row_group_stop: int
    rows: int
    row_start: int = 0
    constants: dict[str, str | None] = {}
    renamed: dict[str, str] = {}
    where: DayFilter | None = None
    file_bytes: int | None = None
    mtime_ns: int | None = None


class Unit(Record):
    """A work unit, which one task scores: a piece of a large file, or several small files together.

    Attributes:
        rows: Rows that count, so after the pieces' filters.
        size_bytes: Uncompressed Parquet of the columns that are read.
        arrow_schema: Types of the wanted columns, the same in all units (see `lockstep.scoring.schema_text`); empty: as
            in the first piece.
    """

    id: str
    pieces: tuple[Piece, ...]
    rows: int
    size_bytes: int
    arrow_schema: SharedText = ""


class ScoringInput(Record):
    """The input of the scoring (`input.json`): materialised in the run folder, or the files of a table.

    Attributes:
        columns: All columns that can be read, with their Arrow types.
    """

    rows: int
    columns: dict[str, str]
    units: tuple[Unit, ...]
