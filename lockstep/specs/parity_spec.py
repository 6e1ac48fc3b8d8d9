"""When published scores are compared with the endpoint's answers."""

from pydantic import Field

from lockstep.specs.fields import Cron
from lockstep.specs.strict import Strict


class Parity(Strict):
    """When a sample of what was published is sent through the endpoint, which must answer the same bits."""

    cron: Cron | None = Field(
        "30 4 * * 0", description="Five-field cron expression, in the schedule's time zone; null: only by hand."
    )
    rows: int = Field(500, ge=1, description="Rows of the sample.")
