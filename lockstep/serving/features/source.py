"""Where features of a request are looked up, whoever keeps them."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

Keys = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class Fetched:
    """What a source has for some keys, in their order.

    Attributes:
        values: Plain values by feature; `None` where there is none.
        event_times: When the values became true, by feature; `None` where that is not known.
        invalid: Rows whose value is there and is not of the declared kind, by feature.
    """

    values: Mapping[str, Sequence[Any]]
    event_times: Mapping[str, Sequence[dt.datetime | None]]
    invalid: Mapping[str, frozenset[int]] = field(default_factory=dict)


class FeatureSource(Protocol):
    """A store of features by key. It is asked on an event loop and never blocks it."""

    @property
    def name(self) -> str:
        """What messages and the log call it."""

    async def get(self, keys: Keys, names: Sequence[str], *, deadline: float) -> Fetched:
        """Return features of keys.

        Args:
            keys: Values of each key column, all of one length; none is null.
            names: Features, as the source calls them.
            deadline: Time of the event loop's clock by which the answer is of use.

        Raises:
            FeatureSourceUnavailable: There was no answer, or none in time.
            FeatureSourceInvalid: The source does not know the features or keys, or answers in another form.
        """

    async def aclose(self) -> None:
        """Let go of connections."""


def rows_of(keys: Keys) -> int:
    """Return how many keys are asked for."""
    return len(next(iter(keys.values()), ()))


def aware(moment: dt.datetime) -> dt.datetime:
    """Return a time with a zone; one without is UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
