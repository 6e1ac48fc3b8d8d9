"""Errors of the warehouses."""

from collections.abc import Sequence

from lockstep.errors.base import LockstepError
from lockstep.errors.stages import EnvironmentFault


class PublishError(LockstepError):
    """The warehouse refused the publication; what was live stays."""

    code = "LS8001"


class WarehouseBusy(PublishError):
    """Others keep the warehouse from writing; the same command may do later."""

    code = "LS8002"
    retryable = True


class WarehouseLocked(WarehouseBusy):
    """Another process holds the warehouse."""

    code = "LS8003"

    def __init__(self, path: str, *, holder: str, waited_s: float) -> None:
        super().__init__(
            f"warehouse {path} is locked by {holder}; waited {waited_s:.0f} s. Nothing was published and what was live "
            "stays. Close that process (or raise LOCKSTEP_WAREHOUSE_WAIT_S) and run the same command again."
        )


class CommitConflict(WarehouseBusy):
    """Other writers committed to the table first, again and again."""

    code = "LS8004"

    def __init__(self, table: str, *, attempts: int, waited_s: float) -> None:
        super().__init__(
            f"table {table}: other writers committed first in {attempts} attempts over {waited_s:.0f} s. Nothing was "
            "published and what was live stays. Run the same command again (or raise LOCKSTEP_WAREHOUSE_WAIT_S)."
        )


class WarehouseUnreachable(WarehouseBusy):
    """The warehouse does not answer, or the connection to it broke before the commit."""

    code = "LS8005"

    def __init__(self, location: str, *, reason: str) -> None:
        super().__init__(
            f"warehouse {location} does not answer: {reason}. Nothing was published and what was live stays. "
            "Run the same command again when it does."
        )


class CommitUncertain(WarehouseBusy):
    """The commit itself failed, or its answer was lost."""

    code = "LS8006"

    def __init__(self, location: str, *, reason: str) -> None:
        super().__init__(
            f"the commit to warehouse {location} was not confirmed: {reason}. What is live is the old partition or the "
            "new one, whole. Run the same command again: it finds out and finishes."
        )


class StaleRun(PublishError):
    """A newer run has published, so this one must not overwrite it."""

    code = "LS8009"

    def __init__(self, table: str, *, partition: str, token: int, newest: int) -> None:
        super().__init__(
            f"this run may no longer publish partition {partition} of {table}: its fencing token is {token}, but a run "
            f"planned later (token {newest}) is already live. What is live stays. "
            "To publish this run all the same, plan it again."
        )


class NothingToRestore(PublishError):
    """A rollback was asked for that cannot be made."""

    code = "LS8007"

    def __init__(self, table: str, *, problems: Sequence[str]) -> None:
        lines = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(
            f"the rollback of {table} was not begun, because not all of it can be done:\n{lines}\n"
            "Nothing was changed. Ask for fewer partitions, or see `lockstep history`."
        )


class StagedFileChanged(PublishError):
    """A staged file is not the one that was audited."""

    code = "LS8010"

    def __init__(self, path: str, *, expected: str, got: str) -> None:
        super().__init__(
            f"staged file {path} is not what was scored: expected {expected}, got {got}. "
            "Nothing was published. Delete the run folder and run the same command again."
        )


class ExtraMissing(EnvironmentFault):
    """The libraries of a warehouse are not installed."""

    code = "LS4013"

    def __init__(self, kind: str, *, module: str, extra: str) -> None:
        super().__init__(
            f"warehouse {kind} needs the package {module}, which is not installed in this environment. "
            f"Install it with: pip install 'lockstep[{extra}]'"
        )
