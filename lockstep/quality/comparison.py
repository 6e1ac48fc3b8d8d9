"""Two models' scores of the same rows: how often they agree, how far apart they are, and in which segments.

Files are compared unit by unit, so memory does not grow with the run. The rows of two files of a unit are in the same
order; where one model set rows aside and the other did not, they are matched by their keys.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lockstep.errors import ComparisonImpossible
from lockstep.quality.divergence import population_stability_index
from lockstep.quality.matching import matched
from lockstep.quality.numbers import side_by_side
from lockstep.scoring.profile import DECILES
from lockstep.scoring.sketches import QuantileSketch

# Values of one column beyond which it is no split of the rows.
MOST_SEGMENTS = 1_000
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Pair:
    """The staged files of one unit."""

    unit: str
    champion: Path
    challenger: Path


@dataclass(frozen=True)
class Layout:
    """What is read of the files.

    Attributes:
        key: Columns that name a row.
        score: The published score.
        errors: Column that says why a row has none, if there is one.
        segments: Columns by whose values the rows are split.
    """

    key: tuple[str, ...]
    score: str
    errors: str | None = None
    segments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sums:
    """Rows of one segment, and the sums of their scores."""

    rows: int = 0
    champion: float = 0.0
    challenger: float = 0.0

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(self.rows + other.rows, self.champion + other.champion, self.challenger + other.challenger)


@dataclass
class Difference:
    """What was found in some units.

    Attributes:
        compared: Rows that both have scored; `agreed` those whose scores differ by no more than the tolerance.
        total: Sum of challenger minus champion; none of scores that are no numbers.
        largest: Largest absolute difference; none without a row, and of scores that are no numbers.
        champion_bins, challenger_bins: Rows in each bin.
        segments: By column and value (as text, none for null); none of a column with too many values.
    """

    compared: int = 0
    agreed: int = 0
    total: float | None = 0.0
    largest: float | None = None
    champion_bins: Floats | None = None
    challenger_bins: Floats | None = None
    segments: dict[str, dict[str | None, Sums] | None] = field(default_factory=dict)

    def join(self, other: "Difference") -> None:
        """Add the rows of other units."""
        self.compared += other.compared
        self.agreed += other.agreed
        self.total = None if self.total is None or other.total is None else self.total + other.total
        found = [one for one in (self.largest, other.largest) if one is not None]
        self.largest = max(found, default=None)
        if other.champion_bins is not None and other.challenger_bins is not None:
            self.champion_bins = _plus(self.champion_bins, other.champion_bins)
            self.challenger_bins = _plus(self.challenger_bins, other.challenger_bins)
        for column, values in other.segments.items():
            self.segments[column] = _joined(self.segments.get(column, {}), values)

    @property
    def agreement(self) -> float | None:
        """Share of the rows that agree."""
        return self.agreed / self.compared if self.compared else None

    @property
    def mean(self) -> float | None:
        """Mean of challenger minus champion."""
        return None if self.total is None or not self.compared else self.total / self.compared

    @property
    def psi(self) -> float | None:
        """Population stability index of the challenger's scores against the champion's."""
        if self.champion_bins is None or self.challenger_bins is None or not self.compared:
            return None
        return population_stability_index(self.champion_bins.tolist(), self.challenger_bins.tolist())


def compare_files(
    pairs: Sequence[Pair], layout: Layout, *, tolerance: float, edges: Sequence[float] | None
) -> Difference:
    """Compare the scores of two models, the units side by side.

    Args:
        pairs: The files, unit by unit.
        layout: What is in them.
        tolerance: Largest absolute difference of two scores that agree.
        edges: Upper bounds of all bins but the last: bin i holds `edges[i-1] < x <= edges[i]`; none for no index.

    Raises:
        ComparisonImpossible: Rows of a unit cannot be matched, or their scores are of kinds that cannot be compared.
    """
    whole = Difference()
    for part in side_by_side(lambda pair: compare_unit(pair, layout, tolerance=tolerance, edges=edges), pairs):
        whole.join(part)
    return whole


def compare_unit(pair: Pair, layout: Layout, *, tolerance: float, edges: Sequence[float] | None) -> Difference:
    """Compare two files of one unit; see `compare_files`."""
    champion = _read(pair.champion, layout, layout.segments)
    challenger = _read(pair.challenger, layout, ())
    champion, challenger = matched(champion, challenger, key=layout.key, unit=pair.unit)
    both = pc.and_(_has_score(champion, layout), _has_score(challenger, layout))
    if not pc.all(both).as_py():
        champion, challenger = champion.filter(both), challenger.filter(both)
    scores = (champion.column(layout.score), challenger.column(layout.score))
    found = Difference(compared=champion.num_rows, segments={name: {} for name in layout.segments})
    if not found.compared:
        return found
    if scores[0].type != scores[1].type and not all(_is_number(one.type) for one in scores):
        raise ComparisonImpossible(pair.unit, f"scores are {scores[0].type} and {scores[1].type}")
    if not _is_number(scores[0].type):
        found.agreed, found.total, found.largest = _of_others(*scores, tolerance=tolerance)
        return found
    ours, theirs = _floats(scores[0]), _floats(scores[1])
    apart = theirs - ours
    distance = np.abs(apart)
    found.agreed = int(np.count_nonzero(distance <= tolerance))
    found.total, found.largest = float(apart.sum()), float(distance.max())
    if edges is not None:
        found.champion_bins, found.challenger_bins = _bins(ours, edges), _bins(theirs, edges)
    for name in layout.segments:
        found.segments[name] = _segments(champion.column(name), ours, theirs)
    return found


def edges_of(profile: Mapping[str, Any], column: str) -> list[float] | None:
    """Return the bounds between the tenths of the champion's scores, from its profile; none of what is no number.

    Args:
        profile: Of the champion's run, in JSON form.
        column: The score.
    """
    found = profile.get("columns", {}).get(column)
    if not found or found["kind"] != "numeric" or not found.get("sketch"):
        return None
    return sorted(set(QuantileSketch.from_text(found["sketch"]).quantiles(list(DECILES))))


def _read(file: Path, layout: Layout, further: Sequence[str]) -> pa.Table:
    errors = () if layout.errors is None else (layout.errors,)
    names = list(dict.fromkeys([*layout.key, layout.score, *errors, *further]))
    with pq.ParquetFile(file) as opened:
        return opened.read(columns=names, use_threads=False)


def _has_score(rows: pa.Table, layout: Layout) -> pa.ChunkedArray:
    known = pc.is_valid(rows.column(layout.score))
    return known if layout.errors is None else pc.and_(known, pc.is_null(rows.column(layout.errors)))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def _floats(column: pa.ChunkedArray) -> Floats:
    flat = column.combine_chunks()
    flat = flat.cast(pa.uint8()) if pa.types.is_boolean(flat.type) else flat
    values: Floats = flat.to_numpy(zero_copy_only=False).astype(np.float64, copy=False)
    return values


def _of_others(ours: pa.ChunkedArray, theirs: pa.ChunkedArray, *, tolerance: float) -> tuple[int, None, float | None]:
    """Compare texts, which agree when they are equal, and tensors of numbers, element by element."""
    kind = ours.type
    if not pa.types.is_fixed_size_list(kind) or not _is_number(kind.value_type):
        return int(pc.sum(pc.equal(ours, theirs)).as_py() or 0), None, None
    flat = [np.asarray(_floats(pa.chunked_array([one.combine_chunks().flatten()]))) for one in (ours, theirs)]
    distance = np.abs(flat[1] - flat[0]).reshape(len(ours), -1).max(axis=1)
    return int(np.count_nonzero(distance <= tolerance)), None, float(distance.max())


def _bins(values: Floats, edges: Sequence[float]) -> Floats:
    places = np.searchsorted(np.asarray(edges, dtype=np.float64), values, side="left")
    return np.bincount(places, minlength=len(edges) + 1).astype(np.float64)


def _segments(column: pa.ChunkedArray, ours: Floats, theirs: Floats) -> dict[str | None, Sums] | None:
    encoded = column.combine_chunks().dictionary_encode(null_encoding="encode")
    if len(encoded.dictionary) > MOST_SEGMENTS:
        return None
    codes, size = encoded.indices.to_numpy(zero_copy_only=False), len(encoded.dictionary)
    rows = np.bincount(codes, minlength=size)
    sums = [np.bincount(codes, weights=scores, minlength=size) for scores in (ours, theirs)]
    found: dict[str | None, Sums] = {}
    for value, count, champion, challenger in zip(encoded.dictionary.to_pylist(), rows, *sums, strict=True):
        name = None if value is None else str(value)
        found[name] = found.get(name, Sums()) + Sums(int(count), float(champion), float(challenger))
    return found


def _plus(one: Floats | None, other: Floats) -> Floats:
    return other if one is None else one + other


def _joined(one: dict[str | None, Sums] | None, other: dict[str | None, Sums] | None) -> dict[str | None, Sums] | None:
    if one is None or other is None:
        return None
    whole = {**one, **{value: one.get(value, Sums()) + sums for value, sums in other.items()}}
    return whole if len(whole) <= MOST_SEGMENTS else None
