"""The `trial:` section of a spec: models that are tried beside the champion, and how far they may be trusted."""

import datetime as dt
from collections.abc import Collection, Mapping
from typing import Annotated, Self

from pydantic import Field, model_validator

from lockstep.specs.fields import Identifier
from lockstep.specs.strict import Strict

Fraction = Annotated[float, Field(ge=0, le=1)]


def share_on(ramp: Mapping[dt.date, float], day: dt.date) -> float:
    """Return the share that a ramp gives a day: that of its last step, and none before the first."""
    begun = [start for start in ramp if start <= day]
    return ramp[max(begun)] if begun else 0.0


class Challenger(Strict):
    """A version of the spec's model on trial: it scores the same rows, into a table of its own."""

    alias: Identifier = Field(description="Alias of the spec's registered model, resolved once per run.")
    table: Identifier | None = Field(None, description="Shadow table; none: `<published table>_<alias>`.")

    def shadow_table(self, published: str) -> str:
        """Return the table of this challenger's scores, given the published table."""
        return self.table or f"{published}_{self.alias}"


class Guardrails(Strict):
    """What a challenger may do before its canary ends; none of a limit: it is not judged."""

    min_agreement: Fraction | None = Field(None, description="Least share of rows whose scores agree (0..1).")
    max_mean_shift: float | None = Field(None, gt=0, description="Most |mean difference| of the scores of the day.")
    max_segment_shift: float | None = Field(None, gt=0, description="Most |mean difference| within one segment.")
    max_psi: float | None = Field(None, gt=0, description="Most PSI of the challenger's scores against the champion's.")
    max_extra_quarantined: Fraction | None = Field(
        0.0, description="Most that its share of rows without a score may exceed the champion's."
    )
    max_cost_ratio: float | None = Field(None, gt=0, description="Most of its seconds per row over the champion's.")
    max_auc_drop: Fraction | None = Field(None, description="Most that its AUC may lie below the champion's.")
    max_log_loss_rise: float | None = Field(None, gt=0, description="Most that its log loss may lie above.")
    labelled_days: int = Field(7, ge=1, description="Latest days with labels over which AUC and log loss are pooled.")


class Canary(Strict):
    """Publishes a challenger's score for a part of the rows, always of the same entities."""

    challenger: Identifier = Field(description="Alias of one of the challengers.")
    ramp: dict[dt.date, Fraction] = Field(min_length=1, description="From each day on, which share of rows (0..1).")
    by: tuple[Identifier, ...] = Field(
        (), description="Columns whose values stay in one arm; none: the key without the partition column."
    )
    guardrails: Guardrails = Field(default_factory=Guardrails, description="What ends it, for good.")

    def fraction(self, day: dt.date) -> float:
        """Return the share of rows of a day that the challenger makes."""
        return share_on(self.ramp, day)


class Trial(Strict):
    """Models on trial beside the champion."""

    challengers: tuple[Challenger, ...] = Field(min_length=1, description="Who is on trial.")
    segments: tuple[Identifier, ...] = Field((), description="Carried columns by whose values scores are compared.")
    tolerance: float = Field(0.01, ge=0, description="Largest difference of two scores that agree.")
    canary: Canary | None = Field(None, description="Publish one of them for some rows; none: all are shadows.")

    def shadow_tables(self, published: str) -> tuple[str, ...]:
        """Return the tables of all challengers, given the published table."""
        return tuple(one.shadow_table(published) for one in self.challengers)

    def problem(self, *, published: str, reporting: Collection[str], sensitive: Collection[str]) -> str | None:
        """Return what of the rest of the spec it does not agree with, if anything.

        Args:
            published: The published table.
            reporting: Reporting tables.
            sensitive: Columns whose values are never shown.
        """
        taken = {name.casefold() for name in (published, f"{published}_drift", *reporting)}
        for table in self.shadow_tables(published):
            if table.casefold() in taken:
                return (
                    f"'trial.challengers': shadow table {table!r} is another table of the spec, or of two challengers"
                )
            taken.add(table.casefold())
        for column in self.segments:
            if column in sensitive:
                return f"'trial.segments' names {column!r}, whose values are 'sensitive': a comparison would show them"
        return None

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        aliases = [one.alias for one in self.challengers]
        if len(set(aliases)) < len(aliases):
            raise ValueError("'challengers' names an alias twice")
        if self.canary is not None and self.canary.challenger not in aliases:
            raise ValueError(f"'canary.challenger' {self.canary.challenger!r} is none of {', '.join(aliases)}")
        return self
