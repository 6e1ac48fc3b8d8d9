"""When reporting tables are computed again, apart from publication."""

from pydantic import Field

from lockstep.specs.asset_ref import AssetRef
from lockstep.specs.fields import Cron
from lockstep.specs.strict import Strict


class Refresh(Strict):
    """When reporting tables are computed again, apart from publication, which computes those of its day itself."""

    assets: tuple[AssetRef, ...] = Field(
        (), description="Assets; each update computes the days that its event names, as when outcomes have arrived."
    )
    cron: Cron | None = Field(None, description="Five-field cron expression, in the schedule's time zone; none: never.")
    days: int = Field(7, ge=1, le=366, description="Finished days that are computed when nobody names any.")
