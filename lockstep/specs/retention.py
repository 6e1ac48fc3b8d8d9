"""How long publications and runs are kept."""

from pydantic import Field

from lockstep.specs.strict import Strict


class Retention(Strict):
    """What `lockstep vacuum` keeps. It decides nothing of a run, so it is no part of a run's key."""

    publications: int = Field(
        3, ge=1, description="Publications of each partition that stay restorable, the live one among them."
    )
    days: int = Field(30, ge=0, description="Nothing that was made or touched in so many days is deleted.")
