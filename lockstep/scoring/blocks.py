"""Block sizes: how many rows the model scores at a time, without a bit of any result depending on it.

Kernels choose their order of summation by shape, not by value, so two block sizes either give equal bits for all rows
or differ for some share of generic rows: nearly all of a deep network, one in fifty of a small one. The base size, part
of the artifact, defines the result. Another size is used only once it was certified on this machine: enough rows,
scored both ways, in two orders, agree in every bit. Among larger sizes the fastest is found by measuring (the knee); as
all agree, a noisy measurement costs speed at most. Smaller ones spare the last rows of a batch, and a lone request, the
padding up to the base size.
"""

import functools
import json
import math
import statistics
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from lockstep.scoring.backends import Arrays
from lockstep.scoring.ladders import Ladder, load_ladders

GROWTH = 2
LARGEST_ROWS = 65_536
# Sizes below the base: a half, a quarter, an eighth.
HALVINGS = 3
# A search takes at most so long, and all of them together at most that and a share of the time that has passed.
SEARCH_S, SEARCH_SHARE = 2.0, 0.2
# A size of n rows costs about so many times n rows to certify and to time.
SEARCH_COST = 8
# A size is certified with so many rows, or what the model scores in so many seconds, if that is less: what is slow is
# deep, and a few of its rows show a difference. A sample with fewer certifies nothing.
LEAST_ROWS, MOST_ROWS, CERTIFY_S = 1_024, 4_096, 0.02
# A block must be faster by this much than one of half its rows to be worth its memory, and its place in shared caches.
WORTH = 1.04
# A block is timed at least twice, and again up to this many times in this many seconds.
TIMED_RUNS, TIMED_S = 20, 0.05
# Of a block that takes longer, what a call costs beside the work is no share worth saving by a larger one.
LONG_S = 0.1
# Rows, in blocks of the base size, after which a certificate is checked again.
CHECKED_BLOCKS = 2_048
Run = Callable[[Arrays], Arrays]


class BlockSizes:
    """The block sizes of one loaded model on one device."""

    def __init__(self, base: int, *, store: Path | None = None, search: bool = False) -> None:
        self.base = base
        self._store = store
        self._search = search
        self._ladders = load_ladders(store, base=base)
        self._unchecked: dict[str, int] = {}
        self._own: set[str] = set()  # shapes that this process searched itself
        self._began = time.monotonic()
        self._searched_s = 0.0

    @property
    def ladders(self) -> Mapping[str, Ladder]:
        """What is known so far, by shape of the inputs."""
        return self._ladders

    def usable(self, run: Run, arrays: Arrays) -> list[int]:
        """Return the sizes to use for rows of this shape, largest first; the base is always one of them.

        Args:
            run: Scores a block.
            arrays: Encoded rows, the sample of a first search.
        """
        shape, rows = shape_of(arrays), len(arrays[0])
        if self._search and self._wants_search(self._ladders.get(shape), rows=rows):
            self._ladders = {**load_ladders(self._store, base=self.base), **self._ladders}  # what other processes found
            if self._wants_search(self._ladders.get(shape), rows=rows):
                self._find(run, arrays, shape)
        ladder = self._ladders.get(shape)
        return ladder.usable() if ladder else [self.base]

    @property
    def holds_for(self) -> str:
        """What certificates hold for: device, precision, a digest of hardware and libraries; empty: kept nowhere."""
        return self._store.stem if self._store is not None else ""

    def verify(self, run: Run, arrays: Arrays, *, seconds: float = SEARCH_S) -> bool:
        """Check what another process certified: all its sizes that the sample fills, small ones first, for a while.

        Args:
            run: Scores a block.
            arrays: Encoded rows, the sample.
            seconds: After which no further size is begun.

        Returns:
            Whether all that were checked agree; if not, nothing but the base is used for this shape from now on.
        """
        shape, ends = shape_of(arrays), time.monotonic() + seconds
        ladder = self._ladders.get(shape)
        if ladder is None or shape in self._own:
            return True
        for size in [size for size in reversed(ladder.usable()) if size != self.base]:
            whole, part = max(size, self.base), min(size, self.base)
            if whole > len(arrays[0]) or time.monotonic() > ends:
                break
            if not self._agrees(run, arrays, whole, parts=part, rows=len(arrays[0])):
                self.revoke(arrays)
                return False
        return True

    def settle(self) -> None:
        """Search no more: what is known by now is used. A search would keep a request waiting."""
        self._search = False

    def wants_check(self, arrays: Arrays) -> bool:
        """Whether a block of another size is to be scored in base blocks too: the first, and later one now and then."""
        shape = shape_of(arrays)
        unchecked = self._unchecked.get(shape)
        due = unchecked is None or unchecked >= CHECKED_BLOCKS * self.base
        self._unchecked[shape] = len(arrays[0]) if due or unchecked is None else unchecked + len(arrays[0])
        return due

    def shrink(self, arrays: Arrays) -> bool:
        """Use a smaller block for this shape from now on; false when it is the base already."""
        ladder = self._ladders.get(shape_of(arrays))
        smaller = [size for size in ladder.sizes if self.base <= size < ladder.best] if ladder else []
        if ladder is None or not smaller:
            return False
        ladder.best = smaller[-1]
        return True

    def revoke(self, arrays: Arrays) -> None:
        """Use nothing but the base for this shape: a certified size was seen to differ."""
        self._ladders[shape_of(arrays)] = Ladder([self.base], [0.0], self.base, done=True)
        self._write()

    def bare_seconds(self, arrays: Arrays) -> float | None:
        """Return how long the bare model takes for these rows at its best measured speed; none when not measured."""
        ladder = self._ladders.get(shape_of(arrays))
        fastest = max(ladder.rows_per_s, default=0.0) if ladder else 0.0
        return len(arrays[0]) / fastest if fastest else None

    def _wants_search(self, ladder: Ladder | None, *, rows: int) -> bool:
        """Whether there is nothing known, or a small sample ended an earlier search that these rows can take on."""
        if ladder is None:
            return self._budget_s() > SEARCH_S / 2
        larger = ladder.sizes[-1] * GROWTH
        if ladder.done or larger > min(rows, LARGEST_ROWS):
            return False
        return SEARCH_COST * larger / ladder.rows_per_s[-1] < self._budget_s()

    def _budget_s(self) -> float:
        allowed = SEARCH_S + SEARCH_SHARE * (time.monotonic() - self._began) - self._searched_s
        return min(allowed, SEARCH_S)

    def _find(self, run: Run, arrays: Arrays, shape: str) -> None:
        clock = time.monotonic()
        ends = clock + self._budget_s()
        try:
            known = self._ladders.get(shape) or self._descend(run, arrays)
            if known is None:
                return
            self._ladders[shape] = self._climb(run, arrays, known, ends=ends)
        except Exception:  # noqa: BLE001 - a bad row in the sample, or no memory: the next batch may do
            return
        finally:
            self._searched_s += time.monotonic() - clock
        self._own.add(shape)
        self._write()

    def _descend(self, run: Run, arrays: Arrays) -> Ladder | None:
        """Time the base and certify smaller blocks; none when the rows are too few to certify anything."""
        filled = _filled(arrays, self.base)
        speed = self._time(run, filled, self.base)
        if len(arrays[0]) < min(LEAST_ROWS, CERTIFY_S * speed):
            return None
        arrays, ladder = filled, Ladder([self.base], [speed], self.base)
        for halving in range(1, HALVINGS + 1):
            size = self.base >> halving
            if (
                not size
                or self.base % size
                or not self._agrees(run, arrays, self.base, parts=size, rows=_enough(speed))
            ):
                break
            ladder.sizes.insert(0, size)
            ladder.rows_per_s.insert(0, self._time(run, arrays, size))
        return ladder

    def _climb(self, run: Run, arrays: Arrays, known: Ladder, *, ends: float) -> Ladder:
        """Certify and time growing blocks of the sample until they no longer pay, fail or take too long."""
        rows = min(len(arrays[0]), LARGEST_ROWS)
        ladder = Ladder([*known.sizes], [*known.rows_per_s], known.best)
        size = ladder.sizes[-1] * GROWTH
        ladder.done = ladder.sizes[-1] / ladder.rows_per_s[-1] > LONG_S
        while not ladder.done and size <= rows and time.monotonic() + SEARCH_COST * size / ladder.rows_per_s[-1] < ends:
            if not self._agrees(run, arrays, size, parts=self.base, rows=_enough(ladder.rows_per_s[-1])):
                ladder.done = True
                break
            speed = self._time(run, arrays, size)
            ladder.sizes.append(size)
            ladder.rows_per_s.append(speed)
            if speed > ladder.rows_per_s[ladder.sizes.index(ladder.best)] * WORTH ** math.log2(size / ladder.best):
                ladder.best = size
            ladder.done = size > GROWTH * ladder.best or size / speed > LONG_S
            size *= GROWTH
        return ladder

    def _agrees(self, run: Run, arrays: Arrays, size: int, *, parts: int, rows: int) -> bool:
        """Whether so many rows, one block at least, get the same bits in blocks of both sizes, in two orders."""
        least = max(min(rows, len(arrays[0])), size)
        for begin in range(0, least - size + 1, size):
            block = tuple(array[begin : begin + size] for array in arrays)
            for given in (block, _reversed(block, size)):
                whole = run(given)
                for start in range(0, size, parts):
                    part = run(tuple(array[start : start + parts] for array in given))
                    if not same_bits(part, tuple(array[start : start + parts] for array in whole)):
                        return False
        return True

    @staticmethod
    def _time(run: Run, arrays: Arrays, size: int) -> float:
        """Return rows per second of blocks from all over the sample: the same one again would come from a cache."""
        took: list[float] = []
        while len(took) < 2 or (len(took) < TIMED_RUNS and sum(took) < TIMED_S):
            start = len(took) * size % (len(arrays[0]) - size + 1)
            clock = time.perf_counter()
            run(tuple(array[start : start + size] for array in arrays))  # some are put together when they are sliced
            took.append(time.perf_counter() - clock)
        return size / max(statistics.median_low(took), 1e-9)

    def _write(self) -> None:
        if self._store is None:
            return
        try:
            self._store.parent.mkdir(parents=True, exist_ok=True)
            partial = self._store.with_name(f".{self._store.name}.{uuid.uuid4().hex}")
            known = {**load_ladders(self._store, base=self.base), **self._ladders}  # what other processes found stays
            partial.write_text(json.dumps({shape: asdict(ladder) for shape, ladder in known.items()}, indent=1))
            partial.replace(self._store)
        except OSError:
            self._store = None  # a full or read-only cache costs the next process a search, nothing else


def shape_of(arrays: Arrays) -> str:
    """Return dtypes and trailing shapes of input arrays, such as `int64[3] float32[30]`."""
    return _named(tuple((array.dtype, array.shape[1:]) for array in arrays))


@functools.lru_cache(maxsize=1024)
def _named(kinds: tuple[tuple[np.dtype[Any], tuple[int, ...]], ...]) -> str:
    return " ".join(f"{dtype}{list(shape)}".replace(", ", "x") for dtype, shape in kinds)


def same_bits(left: Arrays, right: Arrays) -> bool:
    """Whether arrays are equal in every bit (objects: equal values)."""
    for one, other in zip(left, right, strict=True):
        if one.dtype != other.dtype or one.shape != other.shape:
            return False
        equal = np.array_equal(one, other) if one.dtype.hasobject else one.tobytes() == other.tobytes()
        if not equal:
            return False
    return True


def _enough(rows_per_s: float) -> int:
    """Return how many rows certify a size."""
    return int(min(MOST_ROWS, CERTIFY_S * rows_per_s))


def _filled(arrays: Arrays, rows: int) -> Arrays:
    """Return at least so many rows, the same ones over again where there are fewer."""
    times = -(-rows // len(arrays[0]))
    return arrays if times == 1 else tuple(np.concatenate([array[:]] * times) for array in arrays)


def _reversed(arrays: Arrays, size: int) -> Arrays:
    return tuple(np.ascontiguousarray(array[-size:][::-1]) for array in arrays)
