"""What Airflow does with a task that failed: not again, soon again a few times, or again for a long while.

A wrong spec, a failed check or a stale run fails for good (`AirflowFailException`). A registry that does not answer, a
locked warehouse or a day that another run computes costs nothing to ask again: such a task outlasts a restart of what
it waits for. A crash may be nobody's fault, but it may also be one that comes again, after an hour of a cluster's time:
that is tried twice more.
"""

import datetime as dt
from typing import Any

from airflow.sdk import Context
from airflow.sdk.definitions.retry_policy import RetryAction, RetryDecision, RetryPolicy
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from lockstep.errors import LockstepError

# With the delays below: twenty minutes.
RETRIES, CRASH_RETRIES = 8, 2
FIRST_DELAY, LONGEST_DELAY = dt.timedelta(seconds=10), dt.timedelta(minutes=5)
REASON_LENGTH = 500  # what Airflow keeps of it


class TryLater(AirflowException):
    """Nothing was done, and the same task may succeed later with nothing changed."""


class Patience(RetryPolicy):
    """Decides by what went wrong; `retries` of the task is the most that any failure gets."""

    def evaluate(  # noqa: PLR0917 - Airflow's interface
        self,
        exception: BaseException,
        try_number: int,
        max_tries: int,
        context: Context | None = None,  # noqa: ARG002 - Airflow's interface
    ) -> RetryDecision:
        """Return whether and when the task runs again."""
        # Clearing a task raises `max_tries`, so that it begins anew.
        failures = try_number - (max_tries - RETRIES)
        reason = reason_of(exception).splitlines()[0][:REASON_LENGTH]
        if not isinstance(exception, TryLater) and failures > CRASH_RETRIES:
            return RetryDecision.fail(reason)
        return RetryDecision(RetryAction.RETRY, delay_after(failures), reason)

    def serialize(self) -> dict[str, Any]:
        """Return nothing: there is nothing to choose."""
        return {}

    @classmethod
    def deserialize(cls, _data: dict[str, Any]) -> "Patience":
        """Return the policy."""
        return cls()


def delay_after(failures: int) -> dt.timedelta:
    """Return how long a task waits after so many failures: twice as long each time, up to a limit."""
    doubled: dt.timedelta = FIRST_DELAY * 2 ** max(0, min(failures - 1, 16))
    return min(doubled, LONGEST_DELAY)


def airflow_error(error: LockstepError) -> AirflowException:
    """Return an error of ours as one of which Airflow knows whether to try again."""
    kind = TryLater if error.retryable else AirflowFailException
    text = f"[{error.code}] {error}"
    return telling(kind(text), text)


def telling(exception: AirflowException, reason: str) -> AirflowException:
    """Give an exception, whose text may hold the end of a log, the reason that a person reads first."""
    exception.reason = reason
    return exception


def reason_of(exception: BaseException) -> str:
    """Return why a task failed, in words for a person."""
    return str(getattr(exception, "reason", "") or str(exception) or type(exception).__name__).strip()
