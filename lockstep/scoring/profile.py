"""Counts, moments, histograms and sketches of columns, taken in the scoring pass and mergeable over units.

The training baseline and every scored unit use the same bins (edges are the inner deciles of the training data), so
that drift is a comparison of two lists of counts. Counts of rows and nulls, sums, minimum and maximum cover every row.
Histograms and sketches cover every row of a small unit and a random sample of the rows of a large one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lockstep.scoring.cumulative import Cumulative, cumulative_of
from lockstep.scoring.moments import Numbers, moments_of
from lockstep.scoring.sketches import FrequentSketch, QuantileSketch

Picked: TypeAlias = npt.NDArray[np.intp] | None  # sampled rows of a batch; none: all

DECILES = np.arange(0.1, 0.95, 0.1)
TOP_VALUES = 50
# A column is no category if a value is longer, if a batch has more values, or if a larger share of its rows differ.
LONGEST_CATEGORY, MOST_CATEGORIES, MOST_DISTINCT = 64, 5_000, 0.5
# Sampled numbers of a column that wait to be sorted and counted together.
WAITING = 16_384


@dataclass
class NumericColumn:
    """Histogram of a numeric column; NaN and null are `nulls`.

    Attributes:
        edges: Upper bounds of all bins but the last: bin i holds `edges[i-1] < x <= edges[i]`.
        counts: `len(edges) + 1` counts, of sampled rows.
        sketch: Quantiles of sampled rows; training baselines have none.
        cumulative: Exact distribution at about a hundred values; of training baselines only.
        waiting: Numbers of sampled rows that `settle` will put into both.
    """

    edges: tuple[float, ...] = ()
    nulls: int = 0
    count: int = 0
    sum: float = 0.0
    sum_sq: float = 0.0
    min: float | None = None
    max: float | None = None
    counts: list[int] = field(default_factory=list)
    sketch: QuantileSketch | None = None
    cumulative: Cumulative | None = None
    waiting: list[Numbers] = field(default_factory=list, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.counts = self.counts or [0] * (len(self.edges) + 1)

    def update(self, values: Numbers, *, picked: Picked = None) -> None:
        """Count `(rows,)` floats."""
        found = moments_of(values)
        known = found.known
        self.nulls += len(values) - len(known)
        if not len(known):
            return
        self.count += len(known)
        self.sum += found.sum
        self.sum_sq += found.sum_sq
        self._widen(found.min, found.max)
        if picked is None:
            self._count(known)
        else:
            self.waiting.append(values[picked])
            if len(self.waiting) * len(picked) >= WAITING:
                self.settle()

    def settle(self) -> None:
        """Count the sampled rows that wait for it."""
        if self.waiting:
            values = np.concatenate(self.waiting)
            self.waiting = []
            self._count(values[np.isfinite(values)])

    def _count(self, values: Numbers) -> None:
        ordered = np.sort(values)  # vectorised: bins and sketch then cost less than in any order
        ends = [0, *np.searchsorted(ordered, np.asarray(self.edges), side="right"), len(ordered)]
        self.counts = [count + int(n) for count, n in zip(self.counts, np.diff(ends), strict=True)]
        if self.sketch is not None:
            self.sketch.update(ordered)

    def _widen(self, low: float | None, high: float | None) -> None:
        if low is not None:
            self.min = low if self.min is None else min(self.min, low)
        if high is not None:
            self.max = high if self.max is None else max(self.max, high)

    def merge(self, other: "NumericColumn") -> None:
        """Add the counts of a column with the same edges."""
        self.settle()
        other.settle()
        self.counts = [a + b for a, b in zip(self.counts, other.counts, strict=True)]
        self.nulls += other.nulls
        self.count += other.count
        self.sum += other.sum
        self.sum_sq += other.sum_sq
        self._widen(other.min, other.max)
        if self.sketch is not None and other.sketch is not None:
            self.sketch.merge(other.sketch)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        self.settle()
        sketch = {"sketch": self.sketch.to_text()} if self.sketch is not None else {}
        exact = {"cumulative": self.cumulative.to_json()} if self.cumulative is not None else {}
        facts = {name: value for name, value in vars(self).items() if name not in {"sketch", "cumulative", "waiting"}}
        return {"kind": "numeric", **facts, "edges": list(self.edges), **sketch, **exact}


@dataclass
class CategoricalColumn:
    """Counts of the values of a string or boolean column, of sampled rows; values outside `counts` are `other`.

    Attributes:
        sketch: The most frequent values; none for texts and identifiers, which are no categories: what single rows say
            stays in the rows.
    """

    counts: dict[str, int] = field(default_factory=dict)
    nulls: int = 0
    count: int = 0
    other: int = 0
    sketch: FrequentSketch | None = None

    def update(self, values: pa.Array, *, picked: Picked = None) -> None:
        """Count the values of an Arrow array."""
        self.nulls += values.null_count
        self.count += len(values) - values.null_count
        sample = values if picked is None else values.take(pa.array(picked))
        counted = pc.value_counts(sample.drop_null().cast(pa.string()))
        found, times = counted.field("values").to_pylist(), counted.field("counts").to_pylist()
        for value, count in zip(found, times, strict=True):
            if value in self.counts:
                self.counts[value] += count
            else:
                self.other += count
        if self.sketch is not None and _is_free_text(found, rows=len(sample)):
            self.sketch = None
        if self.sketch is not None:
            self.sketch.update(found, times)

    def merge(self, other: "CategoricalColumn") -> None:
        """Add the counts of a column with the same values."""
        self.counts = {value: n + other.counts[value] for value, n in self.counts.items()}
        self.nulls += other.nulls
        self.count += other.count
        self.other += other.other
        if self.sketch is None or other.sketch is None:
            self.sketch = None
        else:
            self.sketch.merge(other.sketch)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object."""
        sketch = {"sketch": self.sketch.to_text()} if self.sketch is not None else {}
        return {"kind": "categorical", **{k: v for k, v in vars(self).items() if k != "sketch"}, **sketch}


ColumnProfile: TypeAlias = NumericColumn | CategoricalColumn
Values: TypeAlias = Any  # a (rows,) NumPy array of numbers, or an Arrow array


@dataclass
class Profile:
    """Profiles of several columns over the same rows."""

    columns: dict[str, ColumnProfile]
    rows: int = 0

    def counter(self) -> "Profile":
        """Return an empty profile with the same columns and bins, and sketches, to count into."""
        empty: dict[str, ColumnProfile] = {}
        for name, column in self.columns.items():
            if isinstance(column, NumericColumn):
                empty[name] = NumericColumn(edges=column.edges, sketch=QuantileSketch())
            else:
                empty[name] = CategoricalColumn(counts=dict.fromkeys(column.counts, 0), sketch=FrequentSketch())
        return Profile(empty)

    def update(self, columns: Mapping[str, Values], *, rows: int, picked: Picked = None) -> None:
        """Count one batch; columns that the profile does not have are passed over.

        Args:
            columns: Column name to `(rows,)` values.
            rows: Rows of the batch.
            picked: Rows of the batch that histograms and sketches see; none for all.
        """
        self.rows += rows
        for name, profile in self.columns.items():
            values = columns.get(name)
            if values is None:
                continue
            if isinstance(profile, NumericColumn):
                profile.update(_floats(values), picked=picked)
            else:
                profile.update(pa.array(values) if isinstance(values, np.ndarray) else values, picked=picked)

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
            facts = {key: item for key, item in stored.items() if key not in {"kind", "sketch", "cumulative"}}
            text = stored.get("sketch")
            if stored["kind"] == "numeric":
                facts["edges"] = tuple(facts["edges"])
                exact = Cumulative.from_json(stored["cumulative"]) if stored.get("cumulative") else None
                quantiles = QuantileSketch.from_text(text) if text else None
                columns[name] = NumericColumn(**facts, sketch=quantiles, cumulative=exact)
            else:
                columns[name] = CategoricalColumn(**facts, sketch=FrequentSketch.from_text(text) if text else None)
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
            floats = _floats(values)
            profile.columns[name] = NumericColumn(edges=_edges(floats), cumulative=cumulative_of(floats))
        else:
            profile.columns[name] = CategoricalColumn(counts=dict.fromkeys(_commonest(values), 0))
    profile.update(columns, rows=rows)
    return profile


def _is_free_text(values: Sequence[str], *, rows: int) -> bool:
    """Whether distinct values look like texts or identifiers instead of categories."""
    if any(len(value) > LONGEST_CATEGORY for value in values):
        return True
    return len(values) > MOST_CATEGORIES or (rows > len(DECILES) and len(values) > rows * MOST_DISTINCT)


def _edges(values: Numbers) -> tuple[float, ...]:
    known = values[np.isfinite(values)]
    if not len(known):
        return ()
    return tuple(float(edge) for edge in np.unique(np.quantile(known, DECILES)))


def _commonest(values: pa.Array) -> list[str]:
    counted = pc.value_counts(values.drop_null().cast(pa.string())).to_pylist()
    return [item["values"] for item in sorted(counted, key=lambda c: (-c["counts"], c["values"]))[:TOP_VALUES]]


def _floats(values: Values) -> Numbers:
    if not isinstance(values, np.ndarray):
        if pa.types.is_boolean(values.type):
            values = values.cast(pa.uint8())
        values = values.to_numpy(zero_copy_only=False)
    floats: Numbers = values if values.dtype == np.float32 else values.astype(np.float64, copy=False)
    return floats
