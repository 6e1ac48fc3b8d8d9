"""The cumulative distribution of training data, kept at about a hundred values: exact there, without a library."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from lockstep.scoring.moments import Numbers

POINTS = 100


@dataclass(frozen=True)
class Cumulative:
    """Shares of values up to some values.

    Attributes:
        values: Rising; percentiles that occur, or all distinct values when there are no more of them.
        ranks: Share of the rows with a value up to each, 0..1, exact; the last is 1.
        complete: Whether these are all distinct values, so that the distribution is known everywhere.
    """

    values: tuple[float, ...]
    ranks: tuple[float, ...]
    complete: bool

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return {"values": list(self.values), "ranks": list(self.ranks), "complete": self.complete}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Cumulative":
        """Read what `to_json` wrote."""
        return cls(tuple(value["values"]), tuple(value["ranks"]), bool(value["complete"]))


def cumulative_of(values: Numbers) -> Cumulative | None:
    """Measure the distribution of `(rows,)` floats, or return `None` when none is finite."""
    known = np.sort(values[np.isfinite(values)])
    if not len(known):
        return None
    distinct = np.unique(known)
    complete = len(distinct) <= POINTS
    shares = np.arange(1, POINTS + 1) / POINTS
    kept = distinct if complete else np.unique(np.quantile(known, shares, method="inverted_cdf"))
    ranks = np.searchsorted(known, kept, side="right") / len(known)
    return Cumulative(tuple(float(value) for value in kept), tuple(float(rank) for rank in ranks), complete)
