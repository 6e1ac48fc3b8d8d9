"""Who may publish: a run that was planned before the live one may not."""

from lockstep.errors import PublishError, StaleRun
from lockstep.publish.contract import Publication, PublishRequest


def fence(live: Publication | None, request: PublishRequest) -> None:
    """Raise `StaleRun` when a run planned later is live."""
    if live is not None and live.token > request.token and live.run_key != request.run_key:
        raise StaleRun(request.table, partition=request.partition.isoformat(), token=request.token, newest=live.token)


def is_live(live: Publication | None, request: PublishRequest, *, rows_there: int | None) -> bool:
    """Whether this very run is live, with all of its rows still there."""
    return live is not None and live.run_key == request.run_key and (rows_there or 0) == live.rows


def check_name(request: PublishRequest, reserved: tuple[str, ...]) -> None:
    """Raise `PublishError` when the table has a name of Lockstep's own."""
    if request.table in reserved:
        raise PublishError(f"table {request.table} is Lockstep's own; set another publish.table in spec {request.spec}")


def no_claim(request: PublishRequest) -> PublishError:
    """Return the error of a run whose token is not this warehouse's."""
    return PublishError(
        f"run {request.run_key} has no claim on partition {request.partition} of {request.table} in this warehouse "
        f"(token {request.token}): the warehouse is another one, or a new one, since the run was planned. "
        "Nothing was published. Plan the run again (run the same command again)."
    )
