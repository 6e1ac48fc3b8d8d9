"""Numbers of columns as arrays, read once by all cores: their moments, and the values themselves for exact counts.

Arrow decodes staged files several times as fast as the embedded engine, and NumPy takes moments in a fraction of its
time, so plain numbers are measured here, and the engine keeps what only it can say.
"""

import itertools
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

# Beyond it the sum of squares of doubles has no finite value.
LARGEST_SQUARED = 1e150
MOST_WHOLE = 1 << 63
BLOCK_VALUES = 1 << 14
Values = npt.NDArray[Any]


@dataclass(frozen=True)
class Moments:
    """Figures of numbers, nulls and NaN apart.

    Attributes:
        total: Their sum, exact of whole numbers; none without a number.
        mean, squares: Their mean and the sum of squared deviations from it; none where one is 1e150 or beyond.
    """

    count: int = 0
    low: Any = None
    high: Any = None
    total: Any = None
    mean: float | None = 0.0
    squares: float | None = 0.0

    @property
    def deviation(self) -> float | None:
        """Standard deviation of a sample; none of fewer than two numbers."""
        if self.count < 2 or self.squares is None:
            return None
        return math.sqrt(self.squares / (self.count - 1))

    def __add__(self, other: "Moments") -> "Moments":
        """Put two sets of numbers together (Chan, Golub and LeVeque, Updating Formulae, 1979)."""
        if not (self.count and other.count):
            return self if self.count else other
        count = self.count + other.count
        mean = squares = None
        if self.mean is not None and other.mean is not None and self.squares is not None and other.squares is not None:
            apart = other.mean - self.mean
            mean = self.mean + apart * other.count / count
            squares = self.squares + other.squares + apart * apart * self.count * other.count / count
        return Moments(
            count, min(self.low, other.low), max(self.high, other.high), self.total + other.total, mean, squares
        )


@dataclass
class Numbers:
    """What was read of a column.

    Attributes:
        values: Its numbers in order, part by part, if they were to be kept.
        nulls: Rows without a number.
        runs: First and last number of each part whose numbers grow from row to row; none when there is another part.
    """

    moments: Moments = field(default_factory=Moments)
    values: list[Values] = field(default_factory=list)
    nulls: int = 0
    runs: list[tuple[Any, Any]] | None = field(default_factory=list)

    def add(self, array: pa.Array, *, keep: bool) -> None:
        """Take the rows that come next."""
        values = numbers_of(array)
        self.nulls += len(array) - len(values)
        self.moments += moments_of(values)
        if keep and len(values):
            self.values.append(values)
            if self.runs is not None:
                self.runs = [*self.runs, (values[0], values[-1])] if _grows(values) else None

    def join(self, other: "Numbers") -> None:
        """Take the rows of other files, which come next."""
        self.moments += other.moments
        self.nulls += other.nulls
        self.values += other.values
        self.runs = None if self.runs is None or other.runs is None else self.runs + other.runs

    @property
    def surely_differ(self) -> bool:
        """Whether the order of the numbers already says that no two are equal."""
        if self.runs is None or self.nulls:
            return False
        ordered = sorted(self.runs)
        return all(before[1] < after[0] for before, after in itertools.pairwise(ordered))


def is_plain(kind: pa.DataType) -> bool:
    """Whether values of an Arrow type are numbers as NumPy has them."""
    return bool(pa.types.is_integer(kind) or pa.types.is_float32(kind) or pa.types.is_float64(kind))


def read_numbers(readers: Sequence[Iterable[pa.RecordBatch]], names: Mapping[str, bool]) -> dict[str, Numbers]:
    """Read columns of plain numbers, the parts side by side; sums are taken in their order, so they come out the same.

    Args:
        readers: The rows in parts, each in batches of the columns of `names`, in that order.
        names: The columns, and whether their values are kept.
    """

    def read(batches: Iterable[pa.RecordBatch]) -> dict[str, Numbers]:
        found = {name: Numbers() for name in names}
        for batch in batches:
            for column, (name, keep) in zip(batch.columns, names.items(), strict=True):
                found[name].add(column, keep=keep)
        return found

    total = {name: Numbers() for name in names}
    for part in side_by_side(read, readers):
        for name, numbers in part.items():
            total[name].join(numbers)
    return total


def side_by_side(work: Any, items: Sequence[Any]) -> Iterator[Any]:
    """Yield the work's results on all cores, in the order of the items; a single one stays in this thread."""
    if len(items) < 2:
        yield from map(work, items)
        return
    with ThreadPoolExecutor(min(len(items), cores())) as pool:
        yield from pool.map(work, items)


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


def numbers_of(array: pa.Array) -> Values:
    """Return the values that are neither null nor NaN."""
    values: Values = (array.drop_null() if array.null_count else array).to_numpy(zero_copy_only=False)
    if values.dtype.kind == "f":
        strange = np.isnan(values)
        return values[~strange] if strange.any() else values
    return values


def moments_of(values: Values) -> Moments:
    """Return the moments of numbers without NaN, block by block, so that what is made of them stays in the cache."""
    total = Moments()
    for start in range(0, len(values), BLOCK_VALUES):
        total += _moments(values[start : start + BLOCK_VALUES])
    return total


def _moments(values: Values) -> Moments:
    low, high = values.min().item(), values.max().item()
    greatest = max(-low, high)
    if greatest >= LARGEST_SQUARED:
        with np.errstate(invalid="ignore", over="ignore"):
            return Moments(len(values), low, high, values.sum(dtype=np.float64).item(), None, None)
    mean = values.mean(dtype=np.float64)
    apart = np.subtract(values, mean, dtype=np.float64)
    squares = np.square(apart, out=apart).sum().item()  # a product of NumPy's would start threads of its own
    whole = values.dtype.kind in "iu"
    total = _whole_sum(values, greatest) if whole else values.sum(dtype=np.float64).item()
    return Moments(len(values), low, high, total, mean.item(), squares)


def _whole_sum(values: Values, greatest: int) -> int:
    """Return an exact sum of whole numbers up to so great a one."""
    if greatest * len(values) < MOST_WHOLE:
        return int(values.sum())
    return sum(values.tolist())


def _grows(values: Values) -> bool:
    return bool((values[1:] > values[:-1]).all())
