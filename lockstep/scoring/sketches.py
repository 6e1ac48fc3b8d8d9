"""Mergeable sketches (Apache DataSketches) of the columns of a run: quantiles of numbers, most frequent texts."""

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

# Rank error of a KLL sketch of this size: 1.3 % for one quantile at 99 % confidence
# (Karnin, Lang, Liberty: Optimal Quantile Approximation in Streams, FOCS 2016).
KLL_K = 200
# log2 of the largest number of counters; the error of a count is at most rows * 3.5 / 2**8.
FREQUENT_LG = 8


class QuantileSketch:
    """Approximate quantiles of numbers."""

    def __init__(self, sketch: Any = None) -> None:
        import datasketches

        self._sketch = sketch if sketch is not None else datasketches.kll_floats_sketch(KLL_K)

    def update(self, values: npt.NDArray[np.floating[Any]]) -> None:
        """Add finite values."""
        self._sketch.update(np.require(values, dtype=np.float32, requirements="W"))  # Arrow's memory is read-only

    def merge(self, other: "QuantileSketch") -> None:
        """Add what another sketch has seen."""
        self._sketch.merge(other._sketch)  # noqa: SLF001 - of the same class

    def quantiles(self, ranks: Sequence[float]) -> list[float]:
        """Return the values at ranks 0..1; nothing when the sketch is empty."""
        return [] if self._sketch.is_empty() else [float(v) for v in self._sketch.get_quantiles(list(ranks))]

    @property
    def values_seen(self) -> int:
        """How many values were added."""
        return int(self._sketch.n)

    @property
    def rank_error(self) -> float:
        """Most that `distribution` is off by at any value, at 99 % confidence, 0..1; 0 while all values are kept."""
        return float(self._sketch.normalized_rank_error(True)) if self._sketch.is_estimation_mode() else 0.0

    def distribution(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return the distinct kept values in order, `(kept,) float64`, and the share of all values up to each, 0..1."""
        # Only the values: of a merged sketch the library (5.2) gives every kept value the weight 1.
        kept = sorted({float(value) for value, _ in self._sketch})
        if not kept:
            return np.empty(0), np.empty(0)
        return np.asarray(kept), np.asarray(self._sketch.get_cdf(kept, True)[:-1], dtype=np.float64)

    def counts(self, edges: Sequence[float]) -> list[float]:
        """Return how many values lie in each bin `edges[i-1] < x <= edges[i]`, estimated: `len(edges) + 1` counts."""
        values, ranks = self.distribution()
        # Kept values are float32, so an edge has to be one too, or a value that equals it may seem to lie above it.
        places = np.searchsorted(values, np.asarray(edges, dtype=np.float32).astype(np.float64), side="right")
        reached = np.concatenate([[0.0], ranks])[places] if len(ranks) else np.zeros(len(edges))
        whole = 1.0 if len(ranks) else 0.0
        return [float(part) * self.values_seen for part in np.diff([0.0, *reached, whole])]

    def to_text(self) -> str:
        """Return the sketch as base64."""
        return base64.b64encode(self._sketch.serialize()).decode("ascii")

    @classmethod
    def from_text(cls, text: str) -> "QuantileSketch":
        """Read what `to_text` wrote."""
        import datasketches

        return cls(datasketches.kll_floats_sketch.deserialize(base64.b64decode(text)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, QuantileSketch) and self.to_text() == other.to_text()

    __hash__ = None  # type: ignore[assignment] # it changes


class FrequentSketch:
    """The most frequent texts, approximately counted."""

    def __init__(self, sketch: Any = None) -> None:
        import datasketches

        self._sketch = sketch if sketch is not None else datasketches.frequent_strings_sketch(FREQUENT_LG)

    def update(self, values: Sequence[str], counts: Sequence[int]) -> None:
        """Add texts with how often each occurred."""
        for value, count in zip(values, counts, strict=True):
            self._sketch.update(value, count)

    def merge(self, other: "FrequentSketch") -> None:
        """Add what another sketch has seen."""
        self._sketch.merge(other._sketch)  # noqa: SLF001 - of the same class

    def top(self, limit: int) -> list[tuple[str, int]]:
        """Return the most frequent texts and their estimated counts."""
        import datasketches

        found = self._sketch.get_frequent_items(datasketches.frequent_items_error_type.NO_FALSE_NEGATIVES)
        ranked = sorted(((str(item[0]), int(item[1])) for item in found), key=lambda item: (-item[1], item[0]))
        return ranked[:limit]

    def to_text(self) -> str:
        """Return the sketch as base64."""
        return base64.b64encode(self._sketch.serialize()).decode("ascii")

    @classmethod
    def from_text(cls, text: str) -> "FrequentSketch":
        """Read what `to_text` wrote."""
        import datasketches

        return cls(datasketches.frequent_strings_sketch.deserialize(base64.b64decode(text)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FrequentSketch) and self.top(1 << FREQUENT_LG) == other.top(1 << FREQUENT_LG)

    __hash__ = None  # type: ignore[assignment] # it changes
