"""The scoring spec: everything a user declares about one scheduled scoring job."""

import datetime as dt
from typing import Literal, Self

from pydantic import Field, model_validator

from lockstep.specs.alerts_spec import Alert
from lockstep.specs.asset_ref import AssetRef
from lockstep.specs.drift_spec import Drift
from lockstep.specs.fields import Cron, Identifier, RelativePath, Timezone
from lockstep.specs.input_spec import Input
from lockstep.specs.labels_spec import Labels
from lockstep.specs.limits import Limits
from lockstep.specs.online_spec import Online
from lockstep.specs.parity_spec import Parity
from lockstep.specs.refresh_spec import Refresh
from lockstep.specs.retention import Retention
from lockstep.specs.strict import Strict
from lockstep.specs.training_spec import Training
from lockstep.specs.trial_spec import Trial


class ModelRef(Strict):
    """Which registered model scores."""

    name: str = Field(min_length=1, description="Registered model name in MLflow.")
    alias: str = Field("champion", min_length=1, description="Alias resolved to a version once per run.")
    environment: Literal["refuse", "warn", "ignore"] = Field(
        "warn", description="When other libraries are installed than the model was logged with."
    )
    precision: Literal["float32", "bfloat16", "float16", "int8"] = Field(
        "float32", description="Numbers that the model computes in; a reduced one is measured when a run is planned."
    )
    max_precision_difference: float = Field(
        1e-3, gt=0, description="Most that reduced precision may move a score, absolute; above it nothing is planned."
    )


class Schedule(Strict):
    """When a run starts, by the clock or by assets, and for which days it may."""

    cron: Cron | None = Field(None, description="Five-field cron expression; none: only assets start a run.")
    assets: tuple[AssetRef, ...] = Field((), description="Assets; a run starts when all of them were updated.")
    asset_days: Literal["extra", "partition_key"] = Field(
        "extra",
        description="What of an asset's event names the day: 'partition' in its extra, or its partition key.",
    )
    timezone: Timezone = Field("UTC", description="IANA time zone of the cron.")
    start: dt.date = Field(description="First day that may be scored.")
    end: dt.date | None = Field(None, description="Last day that may be scored; none: no end.")
    catchup: bool = Field(False, description="Whether Airflow scores missed days by itself.")
    deadline_minutes: int | None = Field(
        None, ge=1, description="Minutes from its queueing after which an unfinished run is told of; none: never."
    )
    max_failed_days: int | None = Field(
        3, ge=1, description="Failed days at which Airflow pauses a backfill; null: it goes on to its end."
    )

    @model_validator(mode="after")
    def _something_starts_it(self) -> Self:
        if self.cron is None and not self.assets:
            raise ValueError("give 'cron', 'assets' or both")
        if self.asset_days == "partition_key" and not self.assets:
            raise ValueError("'asset_days' is for 'assets'")
        if self.asset_days == "partition_key" and self.cron is not None:
            raise ValueError("Airflow has no schedule by both: with asset_days: partition_key leave out 'cron'")
        return self

    @model_validator(mode="after")
    def _end_follows_start(self) -> Self:
        if self.end is not None and self.end < self.start:
            raise ValueError(f"'end' {self.end} is before 'start' {self.start}")
        return self


class PartitionColumn(Strict):
    """The day column of the published table."""

    column: Identifier = Field(description="Date column that partitions the published table.")


class Output(Strict):
    """The model's output columns that are published."""

    column: Identifier = Field(description="Name of the score column, as in the model's signature.")
    further: tuple[Identifier, ...] = Field((), description="Further outputs of the model that are published too.")
    errors: Identifier | None = Field(
        None,
        description="Column that says why a row has no score, which is then null; none: such rows go to quarantine.",
    )

    @property
    def columns(self) -> tuple[str, ...]:
        """All published outputs, the score first."""
        return (self.column, *self.further)

    @property
    def staged(self) -> tuple[str, ...]:
        """All columns that scoring adds to a row, apart from the stamps."""
        return self.columns if self.errors is None else (*self.columns, self.errors)


class Checks(Strict):
    """Great Expectations suites, in YAML beside the spec."""

    gate: RelativePath = Field("checks/gate.yaml", description="Suite for the input partition.")
    audit: RelativePath = Field("checks/audit.yaml", description="Suite for the staged scores.")
    samples: int = Field(
        0,
        ge=0,
        le=100,
        description="Rows shown of each failed check on rows, in the report; 0: never a value of a row.",
    )


class Publish(Strict):
    """Where the scores go live."""

    warehouse: Literal["duckdb", "postgresql", "snowflake", "bigquery", "iceberg", "delta"] = Field(
        "duckdb", description="Kind of warehouse."
    )
    table: Identifier = Field(description="Published table; its partition is replaced as a whole.")


class ScoringSpec(Strict):
    """One scheduled scoring job: model, input, checks and target."""

    name: Identifier = Field(description="Name of the spec; equals its folder's name.")
    description: str = Field("", description="One paragraph for the Airflow page and the report.")
    owner: str = Field("lockstep", description="Team that is asked when a run fails.")
    model: ModelRef
    schedule: Schedule
    input: Input
    partition: PartitionColumn
    key: tuple[Identifier, ...] = Field(min_length=1, description="Columns that name a row, unique per partition.")
    passthrough: tuple[Identifier, ...] = Field((), description="Further input columns copied to the output.")
    output: Output
    sensitive: tuple[Identifier, ...] = Field(
        (), description="Columns whose values are never shown, not in samples either."
    )
    checks: Checks = Field(default_factory=Checks)
    publish: Publish
    reporting: dict[Identifier, RelativePath] = Field(default_factory=dict, description="Reporting table to SQL file.")
    refresh: Refresh = Field(default_factory=Refresh)
    parity: Parity = Field(default_factory=Parity)
    training: Training | None = Field(None, description="How a challenger is trained; none: not by Airflow.")
    limits: Limits = Field(default_factory=Limits)
    drift: Drift = Field(default_factory=Drift)
    retention: Retention = Field(default_factory=Retention)
    trial: Trial | None = Field(None, description="Models that are tried beside the champion.")
    labels: Labels | None = Field(None, description="Outcomes that the scores are compared with; none: not measured.")
    online: Online | None = Field(None, description="Store for lookups by key that publish loads; none: none.")
    alerts: tuple[Alert, ...] = Field((), description="Who is told when a run needs a person.")

    @model_validator(mode="after")
    def _columns_agree(self) -> Self:
        if self.partition.column not in self.key:
            raise ValueError(f"'key' must contain the partition column {self.partition.column!r}")
        names = [*self.key, *self.passthrough, *self.output.staged]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise ValueError(f"columns appear twice in key, passthrough and output: {', '.join(twice)}")
        if self.output.column in self.drift.columns:
            raise ValueError(f"'drift.columns' names the score {self.output.column!r}: its limits are 'drift.score'")
        if self.online and (problem := self.online.problem(self.key, self.partition.column, columns=names)):
            raise ValueError(problem)
        return self

    @model_validator(mode="after")
    def _reporting_agrees(self) -> Self:
        if self.input.table is not None and self.reporting:
            raise ValueError("'reporting' needs 'input.query': its view of outcomes is a source")
        if not self.reporting and (self.refresh.assets or self.refresh.cron):
            raise ValueError("'refresh' is for 'reporting', which names no table")
        if self.reporting and self.publish.warehouse not in {"duckdb", "postgresql"}:
            raise ValueError(
                "'reporting' needs publish.warehouse duckdb or postgresql: the others compute no queries with the rows"
            )
        return self

    @model_validator(mode="after")
    def _models_agree(self) -> Self:
        if self.training is not None and self.training.alias == self.model.alias:
            raise ValueError(f"'training.alias' must not be {self.model.alias!r}, by which the spec scores: promote it")
        if self.trial is None:
            return self
        canary_by = self.trial.canary.by if self.trial.canary else ()
        for column in (*self.trial.segments, *canary_by):
            if column not in (*self.key, *self.passthrough):
                raise ValueError(f"'trial' names {column!r}, which is neither in key nor in passthrough")
        own = self.publish.table
        if problem := self.trial.problem(published=own, reporting=self.reporting, sensitive=self.sensitive):
            raise ValueError(problem)
        return self

    @model_validator(mode="after")
    def _labels_agree(self) -> Self:
        if self.labels is None:
            return self
        source = self.labels.source.name
        if source is not None and source not in self.input.sources:
            raise ValueError(f"'labels.source' {source!r} is none of input.sources: {', '.join(self.input.sources)}")
        for column in self.labels.segments:
            if column not in self.carried:
                raise ValueError(f"'labels.segments' names {column!r}, which is neither in key nor in passthrough")
            if column in self.sensitive:
                raise ValueError(f"'labels.segments' names {column!r}, which is sensitive")
        return self

    @property
    def carried(self) -> tuple[str, ...]:
        """Input columns that are copied to the output: the key, then the pass-through columns."""
        return (*self.key, *self.passthrough)
