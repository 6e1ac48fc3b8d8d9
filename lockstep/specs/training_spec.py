"""How a challenger is trained: the script, its days, and what starts it."""

import datetime as dt
import string
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from lockstep.specs.asset_ref import AssetRef
from lockstep.specs.fields import Cron, RelativePath
from lockstep.specs.strict import Strict

LABEL_QUERY = "label.sql"  # beside the spec
PLACES = ("training_set", "alias", "model", "first_day", "last_day", "tracking_uri")


def _argument(value: str) -> str:
    try:
        named = [name for _, name, _, _ in string.Formatter().parse(value) if name is not None]
    except ValueError as error:
        raise ValueError(f"has a brace too many or too few: {error}") from error
    unknown = sorted({*named} - {*PLACES})
    if unknown:
        raise ValueError(f"names {', '.join(unknown)} in braces; known: {', '.join(PLACES)}")
    return value


class Training(Strict):
    """How a new version of the model is trained, which is registered as a challenger and never as the champion."""

    script: RelativePath = Field(description="Python script beside the spec that trains and registers.")
    arguments: tuple[Annotated[str, AfterValidator(_argument)], ...] = Field(
        ("--training-set", "{training_set}", "--alias", "{alias}"),
        description="Its arguments; names in braces are filled in.",
    )
    environment: Literal["training", "data"] = Field("training", description="Environment that the script runs in.")
    alias: str = Field("challenger", min_length=1, description="Alias that the script gives the new version.")
    build: bool = Field(True, description="Whether jobs/build_training_set.py makes the training set, by label.sql.")
    first_day: dt.date | None = Field(None, description="First training day; none: 'days' before the last one.")
    last_day: dt.date | None = Field(None, description="Last training day; none: as late as outcomes are known.")
    days: int = Field(180, ge=1, description="Training days where none are named.")
    validation_days: int = Field(31, ge=1, description="Days after the last training day, to validate on.")
    label_delay_days: int = Field(1, ge=0, description="Days until the outcomes of a day are known.")
    cron: Cron | None = Field(None, description="Five-field cron expression; none: by asset or by hand.")
    assets: tuple[AssetRef, ...] = Field((), description="Further assets that start a training, each by itself.")
    timeout_s: int = Field(6 * 3_600, ge=1, description="Longest time of the script, in seconds.")

    @model_validator(mode="after")
    def _days_follow(self) -> Self:
        if self.first_day is not None and self.last_day is not None and self.last_day < self.first_day:
            raise ValueError(f"'last_day' {self.last_day} is before 'first_day' {self.first_day}")
        return self
