"""Trials of one block size against the base size: are the bits the same, and how fast is it?"""

import math
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lockstep.scoring.backends import Arrays

Run = Callable[[Arrays], Arrays]
# A block is timed at least twice, and again up to this many times in this many seconds.
TIMED_RUNS, TIMED_S = 20, 0.05
# Where a smaller share of the rows of a block differs, it is not for the shape of the rows.
MOST = 0.5


@dataclass(frozen=True)
class Outcome:
    """What was seen of a size.

    Attributes:
        rows: That agreed.
        differing: The share of rows that differ in the first block in which one does; 0 when all agree.
    """

    rows: int
    differing: float = 0.0

    @property
    def agrees(self) -> bool:
        """Whether no row differed."""
        return not self.differing

    @property
    def is_rare(self) -> bool:
        """Whether some rows differ and most do not."""
        return 0 < self.differing < MOST


class Reference:
    """A sample, and its results in blocks of the base size, which are worked out as far as they are asked for.

    Attributes:
        arrays: The sample.
    """

    def __init__(self, run: Run, arrays: Arrays, base: int) -> None:
        self._run = run
        self._base = base
        self.arrays = arrays
        self._results: list[Arrays] = []

    def __len__(self) -> int:
        """Return how many rows there are."""
        return len(self.arrays[0])

    def block(self, start: int, stop: int) -> Arrays:
        """Return rows of the sample."""
        return tuple(array[start:stop] for array in self.arrays)

    def expected(self, start: int, stop: int) -> Arrays:
        """Return their results; both are multiples of the base size."""
        base = self._base
        for first in range(len(self._results) * base, stop, base):
            self._results.append(self._run(self.block(first, first + base)))
        found = self._results[start // base : stop // base]
        return tuple(np.concatenate(parts) for parts in zip(*found, strict=True)) if len(found) > 1 else found[0]


def compare(
    run: Run, known: Reference, size: int, *, base: int, rows: int, after: int = 0, ends: float = math.inf
) -> Outcome:
    """Score rows in blocks of a size, the first of them in the reverse order too, until one differs.

    Args:
        run: Scores a block.
        known: A sample of as many rows as the larger of the sizes, at least.
        size: A multiple or a part of the base size.
        base: The base size.
        rows: To compare, as far as the sample has them; at least one block of the larger size is.
        after: Rows of the sample that were compared before.
        ends: By `time.monotonic`, after which no further block is begun.
    """
    whole = max(size, base)
    first, agreed = after // whole * whole, 0
    last = min(first + max(rows, whole), len(known)) // whole * whole
    for start in range(first, last, whole):
        if agreed and time.monotonic() > ends:
            break
        block, expected = known.block(start, start + whole), known.expected(start, start + whole)
        for given, wanted in _orders(block, expected, both=start == first):
            differ = _differing(run, given, wanted, size=size)
            if differ:
                return Outcome(agreed, differ / whole)
        agreed += whole
    return Outcome(agreed)


def rows_per_s(run: Run, arrays: Arrays, size: int) -> float:
    """Return the speed of blocks from all over the sample: the same one again would come from a cache."""
    took: list[float] = []
    while len(took) < 2 or (len(took) < TIMED_RUNS and sum(took) < TIMED_S):
        start = len(took) * size % (len(arrays[0]) - size + 1)
        clock = time.perf_counter()
        run(tuple(array[start : start + size] for array in arrays))  # some are put together when they are sliced
        took.append(time.perf_counter() - clock)
    return size / max(statistics.median_low(took), 1e-9)


def filled(arrays: Arrays, rows: int) -> Arrays:
    """Return at least so many rows, the same ones over again where there are fewer."""
    times = -(-rows // len(arrays[0]))
    return arrays if times == 1 else tuple(np.concatenate([array[:]] * times) for array in arrays)


def same_bits(left: Arrays, right: Arrays) -> bool:
    """Whether arrays are equal in every bit (objects: equal values)."""
    for one, other in zip(left, right, strict=True):
        if one.dtype != other.dtype or one.shape != other.shape:
            return False
        equal = np.array_equal(one, other) if one.dtype.hasobject else one.tobytes() == other.tobytes()
        if not equal:
            return False
    return True


def _orders(block: Arrays, expected: Arrays, *, both: bool) -> Iterator[tuple[Arrays, Arrays]]:
    yield block, expected
    if both:
        yield _reversed(block), _reversed(expected)


def _reversed(arrays: Arrays) -> Arrays:
    return tuple(np.ascontiguousarray(array[:][::-1]) for array in arrays)


def _differing(run: Run, given: Arrays, wanted: Arrays, *, size: int) -> int:
    """Return how many rows differ."""
    differ = 0
    for start in range(0, len(given[0]), size):
        part = run(tuple(array[start : start + size] for array in given))
        expected = tuple(array[start : start + size] for array in wanted)
        if not same_bits(part, expected):
            differ += _count(part, expected)
    return differ


def _count(left: Arrays, right: Arrays) -> int:
    rows = len(right[0])
    different = np.zeros(rows, dtype=bool)
    for one, other in zip(left, right, strict=True):
        if one.dtype != other.dtype or one.shape != other.shape:
            return rows
        different |= (_bytes(one) != _bytes(other)).any(axis=1)
    return int(different.sum())


def _bytes(array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    flat = np.ascontiguousarray(array).reshape(len(array), -1)
    return flat if flat.dtype.hasobject else flat.view(np.uint8)
