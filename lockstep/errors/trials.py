"""Errors around models on trial; none of them stops the champion's run."""

from collections.abc import Mapping

from lockstep.errors.base import LockstepError
from lockstep.errors.warehouses import PublishError


class TrialError(LockstepError):
    """A challenger has no result in a run."""

    code = "LS7004"


class TrialIncomplete(TrialError):
    """A challenger has not scored all of a run."""

    code = "LS7005"

    def __init__(self, *, units: int, scored: int, strange: int) -> None:
        of_others = f", {strange} of them by another version" if strange else ""
        super().__init__(f"{scored} of {units} units were scored{of_others}")


class ComparisonImpossible(TrialError):
    """The rows of a challenger cannot be set beside the champion's."""

    code = "LS7006"

    def __init__(self, unit: str, reason: str) -> None:
        super().__init__(f"unit {unit} cannot be compared: {reason}")


class ShadowFailed(PublishError):
    """Shadow tables did not get the rows of a run; the published table has them."""

    code = "LS8008"

    def __init__(self, reasons: Mapping[str, str], *, retryable: bool) -> None:
        self.retryable = retryable
        lines = "\n".join(f"  {table}: {reason}" for table, reason in reasons.items())
        super().__init__(
            f"the rows of the champion are live, those of its challengers are not all in their shadow tables:\n{lines}"
        )
