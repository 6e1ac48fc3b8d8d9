"""The share of a request's time that one source may take."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from lockstep.serving.features.errors import FeatureSourceUnavailable


def shared_deadline(deadline: float, share: float, *, now: float) -> float:
    """Return by when a source must have answered.

    Args:
        deadline: When the whole request must be answered, by the event loop's clock.
        share: Share of the time that is left (0..1).
        now: Present time of that clock.
    """
    return now + max(0.0, deadline - now) * share


@contextlib.asynccontextmanager
async def within(deadline: float, source: str) -> AsyncIterator[float]:
    """End the body at a deadline; gives it the seconds that are left.

    Args:
        deadline: Time of the event loop's clock.
        source: Who is asked, for the message.

    Raises:
        FeatureSourceUnavailable: The time is over.
    """
    left = deadline - asyncio.get_running_loop().time()
    if left <= 0:
        raise FeatureSourceUnavailable(source, reason="no time was left to ask it")
    try:
        async with asyncio.timeout(left):
            yield left
    except TimeoutError as error:
        raise FeatureSourceUnavailable(source, reason=f"its share of the time, {left:.3f} s, is over") from error
