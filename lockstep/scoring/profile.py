"""Counts and histograms of columns, taken in the scoring pass and mergeable over units.

The training baseline and every scored unit use the same bins (edges are the inner deciles of the training data), so
that drift is a comparison of two lists of counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Floats: TypeAlias = npt.NDArray[np.float64]

DECILES = np.arange(0.1, 0.95, 0.1)
TOP_VALUES = 50


@dataclass
class NumericColumn:
    """Histogram of a numeric column; NaN and null are `nulls`.

    Attributes:
        edges: Upper bounds of all bins but the last: bin i holds `edges[i-1] < x <= edges[i]`.
        counts: `len(edges) + 1` counts.
    """

    edges: tuple[float, ...] = ()
    nulls: int = 0
    count: int = 0
    sum: float = 0.0
    sum_sq: float = 0.0
    min: float | None = None
    max: float | None = None
    counts: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.counts = self.counts or [0] * (len(self.edges) + 1)

    def update(self, values: Floats) -> None:
        """Count `(rows,) float64` values."""
        known = values[np.isfinite(values)]
        self.nulls += len(values) - len(known)
        if not len(known):
            return
        bins = np.searchsorted(np.asarray(self.edges), known, side="left")
        self.counts = [int(n) for n in np.asarray(self.counts) + np.bincount(bins, minlength=len(self.counts))]
        self.count += len(known)
        self.sum += float(known.sum())
        self.sum_sq += float(np.square(known).sum())
        self._widen(float(known.min()), float(known.max()))

    def _widen(self, low: float | None, high: float | None) -> None:
        if low is not None:
            self.min = low if self.min is None else min(self.min, low)
        if high is not None:
            self.max = high if self.max is None else max(self.max, high)

    def merge(self, other: "NumericColumn") -> None:
        """Add the counts of a column with the same edges."""
        self.counts = [a + b for a, b in zip(self.counts, other.counts, strict=True)]
        self.nulls += other.nulls
        self.count += other.count
        self.sum += other.sum
        self.sum_sq += other.sum_sq
        self._widen(other.min, other.max)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return {"kind": "numeric", **vars(self), "edges": list(self.edges)}


@dataclass
class CategoricalColumn:
    """Counts of the values of a string or boolean column; values outside `counts` are `other`."""

    counts: dict[str, int] = field(default_factory=dict)
    nulls: int = 0
    count: int = 0
    other: int = 0

    def update(self, values: pa.Array) -> None:
        """Count the values of an Arrow array."""
        self.nulls += values.null_count
        self.count += len(values) - values.null_count
        for item in pc.value_counts(values.drop_null().cast(pa.string())).to_pylist():
            if item["values"] in self.counts:
                self.counts[item["values"]] += item["counts"]
            else:
                self.other += item["counts"]

    def merge(self, other: "CategoricalColumn") -> None:
        """Add the counts of a column with the same values."""
        self.counts = {value: n + other.counts[value] for value, n in self.counts.items()}
        self.nulls += other.nulls
        self.count += other.count
        self.other += other.other

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return {"kind": "categorical", **vars(self)}


ColumnProfile: TypeAlias = NumericColumn | CategoricalColumn
Values: TypeAlias = Any  # a (rows,) NumPy array of numbers, or an Arrow array


@dataclass
class Profile:
    """Profiles of several columns over the same rows."""

    columns: dict[str, ColumnProfile]
    rows: int = 0

    def counter(self) -> "Profile":
        """Return an empty profile with the same columns and bins, to count into."""
        empty: dict[str, ColumnProfile] = {}
        for name, column in self.columns.items():
            if isinstance(column, NumericColumn):
                empty[name] = NumericColumn(edges=column.edges)
            else:
                empty[name] = CategoricalColumn(counts=dict.fromkeys(column.counts, 0))
        return Profile(empty)

    def update(self, columns: Mapping[str, Values], *, rows: int) -> None:
        """Count one batch; columns that the profile does not have are passed over."""
        self.rows += rows
        for name, profile in self.columns.items():
            values = columns.get(name)
            if values is None:
                continue
            if isinstance(profile, NumericColumn):
                profile.update(_floats(values))
            else:
                profile.update(pa.array(values) if isinstance(values, np.ndarray) else values)

    def merge(self, other: "Profile") -> None:
        """Add a profile made by the same `counter`."""
        self.rows += other.rows
        for name, column in self.columns.items():
            column.merge(other.columns[name])  # type: ignore[arg-type]

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        return {"rows": self.rows, "columns": {name: column.to_json() for name, column in self.columns.items()}}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Profile":
        """Read what `to_json` wrote."""
        columns: dict[str, ColumnProfile] = {}
        for name, stored in value["columns"].items():
            facts = {key: item for key, item in stored.items() if key != "kind"}
            if stored["kind"] == "numeric":
                columns[name] = NumericColumn(**{**facts, "edges": tuple(facts["edges"])})
            else:
                columns[name] = CategoricalColumn(**facts)
        return cls(columns, rows=int(value["rows"]))


def build_baseline(columns: Mapping[str, Values]) -> Profile:
    """Profile training data: deciles become the bins of numbers, the commonest values those of strings.

    Args:
        columns: Column name to `(rows,)` values; numbers as arrays, strings as Arrow arrays.
    """
    profile = Profile({})
    rows = 0
    for name, values in columns.items():
        rows = len(values)
        if isinstance(values, np.ndarray) or pa.types.is_floating(values.type) or pa.types.is_integer(values.type):
            profile.columns[name] = NumericColumn(edges=_edges(_floats(values)))
        else:
            profile.columns[name] = CategoricalColumn(counts=dict.fromkeys(_commonest(values), 0))
    profile.update(columns, rows=rows)
    return profile


def _edges(values: Floats) -> tuple[float, ...]:
    known = values[np.isfinite(values)]
    if not len(known):
        return ()
    return tuple(float(edge) for edge in np.unique(np.quantile(known, DECILES)))


def _commonest(values: pa.Array) -> list[str]:
    counted = pc.value_counts(values.drop_null().cast(pa.string())).to_pylist()
    return [item["values"] for item in sorted(counted, key=lambda c: (-c["counts"], c["values"]))[:TOP_VALUES]]


def _floats(values: Values) -> Floats:
    if isinstance(values, np.ndarray):
        return np.asarray(values, dtype=np.float64)
    return np.asarray(values.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
