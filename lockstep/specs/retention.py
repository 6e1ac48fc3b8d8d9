"""How long publications and runs are kept."""

from pydantic import BaseModel, ConfigDict, Field


class Retention(BaseModel):
    """What `lockstep vacuum` keeps. It decides nothing of a run, so it is no part of a run's key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    publications: int = Field(
        3, ge=1, description="Publications of each partition that stay restorable, the live one among them."
    )
    days: int = Field(30, ge=0, description="Nothing that was made or touched in so many days is deleted.")
