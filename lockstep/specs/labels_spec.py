"""The `labels:` section of a spec: where outcomes come from when they are known, and what is expected of the model."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from lockstep.specs.fields import ColumnType, Cron, Identifier, RelativePath
from lockstep.specs.strict import Strict

Limit = Literal["min_auc", "max_log_loss", "max_brier", "max_calibration_error", "max_bias", "max_mae", "max_rmse"]
# Which figure of the performance table each limit is about, and for which kind of label.
LIMITS: dict[Limit, tuple[str, frozenset[str]]] = {
    "min_auc": ("auc", frozenset({"binary"})),
    "max_log_loss": ("log_loss", frozenset({"binary"})),
    "max_brier": ("brier", frozenset({"binary"})),
    "max_calibration_error": ("calibration_error", frozenset({"binary"})),
    "max_bias": ("bias", frozenset({"binary", "regression"})),
    "max_mae": ("mae", frozenset({"regression"})),
    "max_rmse": ("rmse", frozenset({"regression"})),
}


class LabelSource(Strict):
    """The table of outcomes: one of `input.sources`, by its name, or another one. A text alone is a name."""

    name: Identifier | None = Field(None, description="One of input.sources, with the path and columns it has there.")
    path: RelativePath | None = Field(None, description="Parquet folder below the data root.")
    partition: Identifier | None = Field(None, description="Hive partition column (a date); none: a static table.")
    days: tuple[int, int] = Field((0, 0), description="First and last day that are read, relative to the scored one.")
    columns: dict[Identifier, ColumnType] = Field({}, description="The only columns the query can see.")

    @model_validator(mode="before")
    @classmethod
    def _text_is_a_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _is_one_table(self) -> Self:
        own = self.path is not None or self.partition is not None or bool(self.columns)
        if (self.name is not None) == own or (own and not (self.path and self.columns)):
            raise ValueError("give the name of a source of the input, or 'path' and 'columns' of another table")
        if self.days[0] > self.days[1]:
            raise ValueError(f"'days' must be [first, last] with first <= last, got {list(self.days)}")
        return self


class Retrain(Strict):
    """Limits over the latest labelled days; one that is exceeded asks for a new model. None of a limit: not judged."""

    days: int = Field(14, ge=1, description="Calendar days up to the latest labelled one that are pooled.")
    min_days: int = Field(3, ge=1, description="Fewest measured days among them; with fewer nothing is judged.")
    min_auc: float | None = Field(None, ge=0, le=1, description="Least AUC, the mean of days by pairs of rows.")
    max_log_loss: float | None = Field(None, gt=0, description="Most log loss.")
    max_brier: float | None = Field(None, gt=0, le=1, description="Most Brier score.")
    max_calibration_error: float | None = Field(None, gt=0, le=1, description="Most calibration error, mean of days.")
    max_bias: float | None = Field(None, gt=0, description="Most |mean score - mean label|.")
    max_mae: float | None = Field(None, gt=0, description="Most mean absolute error.")
    max_rmse: float | None = Field(None, gt=0, description="Most root mean squared error.")

    @model_validator(mode="after")
    def _judges_something(self) -> Self:
        if not self.limits:
            raise ValueError(f"give at least one of {', '.join(LIMITS)}")
        if self.min_days > self.days:
            raise ValueError(f"'min_days' {self.min_days} is more than 'days' {self.days}")
        return self

    @property
    def limits(self) -> dict[Limit, float]:
        """The limits that are given."""
        return {name: getattr(self, name) for name in LIMITS if getattr(self, name) is not None}


class Labels(Strict):
    """How published scores are compared with what happened. It decides nothing of a run."""

    source: LabelSource = Field(description="Table of outcomes.")
    query: RelativePath = Field(description="DuckDB SQL file beside the spec: outcomes to key columns and 'label'.")
    kind: Literal["binary", "regression"] = Field("binary", description="0 or 1 and a probability, or numbers.")
    delay_days: int = Field(1, ge=0, description="Full days after the scored one until its labels are complete.")
    window_days: int = Field(14, ge=1, description="Days that every nightly run looks at again, for late labels.")
    segments: tuple[Identifier, ...] = Field((), description="Carried columns; each of their values is measured too.")
    min_rows: int = Field(30, ge=1, description="Fewest labelled rows of a segment's value that is reported.")
    cron: Cron = Field("0 5 * * *", description="When the nightly run starts, in the schedule's time zone.")
    asset: str | None = Field(
        None, min_length=1, description="Airflow asset (URI, or name) whose updates start a run too."
    )
    retrain: Retrain | None = Field(None, description="When a new model is asked for; none: never.")

    @model_validator(mode="after")
    def _limits_fit_the_kind(self) -> Self:
        for name in self.retrain.limits if self.retrain else ():
            if self.kind not in LIMITS[name][1]:
                raise ValueError(f"'retrain.{name}' is not for kind: {self.kind}")
        if len(set(self.segments)) < len(self.segments):
            raise ValueError("'segments' names a column twice")
        return self
