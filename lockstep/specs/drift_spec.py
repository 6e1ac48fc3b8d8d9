"""The `drift:` section of a spec: what a run is compared with, and how far it may lie from that."""

from typing import Literal, Self

from pydantic import Field, model_validator

from lockstep.specs.strict import Strict

Metric = Literal["psi", "js", "ks"]
Reference = Literal["training", "trailing"]
METRICS: tuple[Metric, ...] = ("psi", "js", "ks")


class Bounds(Strict):
    """Most that each metric may be against one reference; none: not judged."""

    psi: float | None = Field(None, gt=0, description="Population stability index, 0 or more.")
    js: float | None = Field(None, gt=0, le=1, description="Jensen-Shannon distance, 0..1.")
    ks: float | None = Field(None, gt=0, le=1, description="Kolmogorov-Smirnov distance of numbers, 0..1.")

    def of(self, metric: Metric) -> float | None:
        """Return the bound of one metric."""
        return {"psi": self.psi, "js": self.js, "ks": self.ks}[metric]


class DriftLimits(Strict):
    """Limits of all features or of one column."""

    training: Bounds = Field(default_factory=Bounds, description="Against the model's training data.")
    trailing: Bounds = Field(default_factory=Bounds, description="Against the trailing window.")
    severity: Literal["critical", "warning"] = Field("warning", description="Whether exceeding one stops the run.")

    def of(self, reference: Reference, metric: Metric) -> float | None:
        """Return the bound of one metric against one reference."""
        return (self.training if reference == "training" else self.trailing).of(metric)


class ScoreLimits(DriftLimits):
    """Limits of the score."""

    severity: Literal["critical", "warning"] = Field("critical", description="Whether exceeding one stops the run.")


class Drift(Strict):
    """What is measured, and what is judged of it."""

    window_days: int = Field(28, ge=1, le=366, description="Calendar days before the partition that are pooled.")
    min_days: int = Field(7, ge=1, description="Fewest published days of the window that make it a reference.")
    score: ScoreLimits = Field(default_factory=ScoreLimits, description="Of the score.")
    features: DriftLimits = Field(default_factory=DriftLimits, description="Of every other column.")
    columns: dict[str, DriftLimits] = Field(default_factory=dict, description="Of single columns, not as `features`.")

    @model_validator(mode="after")
    def _window_can_fill(self) -> Self:
        if self.min_days > self.window_days:
            raise ValueError(f"'min_days' {self.min_days} is more than 'window_days' {self.window_days}")
        return self

    def limits_of(self, column: str, *, score: str) -> DriftLimits:
        """Return the limits of a column, given the name of the score."""
        return self.score if column == score else self.columns.get(column, self.features)

    @property
    def judges_trailing(self) -> bool:
        """Whether anything is judged against the trailing window."""
        limits = (self.score, self.features, *self.columns.values())
        return any(one.of("trailing", metric) is not None for one in limits for metric in METRICS)
