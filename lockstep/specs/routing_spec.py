"""The `routing:` section of a served model: who answers beside the champion, and who only scores along."""

import datetime as dt
from typing import Self

from pydantic import Field, model_validator

from lockstep.specs.fields import Identifier
from lockstep.specs.strict import Strict
from lockstep.specs.trial_spec import Fraction, share_on


class ServedCanary(Strict):
    """A challenger that answers for some keys, always the same ones; for a model without a spec."""

    alias: Identifier = Field(description="Alias of the served model; followed as the champion's is.")
    ramp: dict[dt.date, Fraction] = Field(min_length=1, description="From each day (UTC) on, which share of keys.")
    by: tuple[Identifier, ...] = Field(min_length=1, description="What a key is made of: columns, in this order.")

    def fraction(self, day: dt.date) -> float:
        """Return the share of the keys that the challenger answers for on a day."""
        return share_on(self.ramp, day)


class Routing(Strict):
    """Who answers for a model, and who scores along."""

    follow_spec: bool = Field(True, description="Do what the spec's `trial` says; false: the champion alone answers.")
    canary: ServedCanary | None = Field(None, description="A canary of a model without a spec.")
    shadows: tuple[Identifier, ...] = Field(
        (), description="Further aliases that score along, unseen, beside the challengers of the spec."
    )
    tolerance: float | None = Field(
        None, ge=0, description="Largest difference of two scores that agree; none: the trial's, or 0.01."
    )
    sample: float = Field(1.0, gt=0, le=1, description="Share of the requests that shadows score.")
    waiting_rows: int = Field(65_536, ge=1, description="Rows that may wait for shadows; more are not scored by them.")
    waiting_mib: int = Field(64, ge=1, description="The same in MiB of requests and answers.")

    @model_validator(mode="after")
    def _aliases_differ(self) -> Self:
        aliases = [*self.shadows, *([self.canary.alias] if self.canary else [])]
        if len(set(aliases)) < len(aliases):
            raise ValueError("'canary' and 'shadows' name an alias twice")
        return self
