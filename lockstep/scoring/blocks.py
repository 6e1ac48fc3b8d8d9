"""Block sizes: how many rows the model scores at a time, without a bit of any result depending on it.

Kernels choose their order of summation by shape, not by value, so two block sizes either give equal bits for all rows
or differ for some share of generic rows. Where a product of matrices is split otherwise, nearly all rows of its shape
differ. Where it is an elementwise function of few numbers per row (a sigmoid at the end), whose last ones take another
path through the processor, one row in thirty does, in whatever shape. The base size, part of the artifact, defines the
result. Another size is used only once it was certified on this machine: for each shape on some rows, and over all
shapes on enough to find what is rare. Among larger sizes the fastest is found by measuring (the knee); as all agree, a
noisy measurement costs speed at most. Smaller ones spare the last rows of a batch, and a lone request, the padding up
to the base size.
"""

import functools
import json
import math
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from lockstep.scoring.backends import Arrays
from lockstep.scoring.ladders import Ladder, in_all, load_ladders
from lockstep.scoring.trials import Outcome, Reference, Run, compare, filled, rows_per_s

GROWTH = 2
LARGEST_ROWS = 65_536
# Sizes below the base: a half, a quarter, an eighth.
HALVINGS = 3
# A search takes at most so long, and all of them together at most that and a share of the time that has passed.
SEARCH_S, SEARCH_SHARE = 2.0, 0.2
# A size of n rows costs about so many times n rows to certify and to time.
SEARCH_COST = 8
# A shape is certified with so many rows, or what the model scores in so many seconds, if that is less: what is slow is
# deep, and a few of its rows show a kernel that sums otherwise. A sample with fewer certifies nothing.
LEAST_ROWS, MOST_ROWS, CERTIFY_S = 1_024, 4_096, 0.02
# And with so many over all shapes, however slow the model is: they show what makes one row in thirty differ.
ROWS_IN_ALL = 256
# A block must be faster by this much than one of half its rows to be worth its memory, and its place in shared caches.
WORTH = 1.04
# Of a block that takes longer, what a call costs beside the work is no share worth saving by a larger one.
LONG_S = 0.1
# Rows, in blocks of the base size, after which a certificate is checked again.
CHECKED_BLOCKS = 2_048


class BlockSizes:
    """The block sizes of one loaded model on one device."""

    def __init__(self, base: int, *, store: Path | None = None, search: bool = False) -> None:
        self.base = base
        self._store = store
        self._search = search
        self._ladders = load_ladders(store, base=base)
        self._unchecked: dict[str, int] = {}
        self._own: set[str] = set()  # shapes that this process searched itself
        self._in_use: dict[str, list[int]] = {}
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
            self._know({**load_ladders(self._store, base=self.base), **self._ladders})  # what other processes found
            if self._wants_search(self._ladders.get(shape), rows=rows):
                self._find(run, arrays, shape)
        return self.in_use(shape)

    def in_use(self, shape: str) -> list[int]:
        """Return the sizes that are used for a shape, largest first: those that are certified for it, and in all."""
        known = self._in_use.get(shape)
        if known is None:
            ladder = self._ladders.get(shape)
            known = [size for size in ladder.usable() if self._is_proven(size)] if ladder else [self.base]
            self._in_use[shape] = known
        return known

    def _is_proven(self, size: int) -> bool:
        return size == self.base or in_all(self._ladders, size) >= ROWS_IN_ALL

    def _know(self, ladders: dict[str, Ladder]) -> None:
        self._ladders = ladders
        self._in_use = {}

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
        if shape not in self._ladders or shape in self._own:
            return True
        known = Reference(run, arrays, self.base)
        for size in [size for size in reversed(self.in_use(shape)) if size != self.base]:
            if max(size, self.base) > len(known) or time.monotonic() > ends:
                break
            if not compare(run, known, size, base=self.base, rows=len(known), ends=ends).agrees:
                self.revoke(arrays)
                return False
        return True

    def grant(self, seconds: float) -> None:
        """Search, and for so much longer than is allowed anyway: nobody waits for an answer yet."""
        self._search = True
        self._searched_s -= seconds

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
        self._in_use = {}
        return True

    def revoke(self, arrays: Arrays) -> None:
        """Use nothing but the base for this shape, and its other sizes for no other: one was seen to differ."""
        shape = shape_of(arrays)
        refused = [size for size in self.in_use(shape) if size != self.base]
        self._know({**self._ladders, shape: Ladder([self.base], [0.0], self.base, done=True, refused=refused)})
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
        if self._unproven(ladder, rows=rows) and self._budget_s() > 0:
            return True
        larger = ladder.sizes[-1] * GROWTH
        if ladder.done or larger > min(rows, LARGEST_ROWS):
            return False
        return SEARCH_COST * larger / ladder.rows_per_s[-1] < self._budget_s()

    def _unproven(self, ladder: Ladder, *, rows: int) -> list[int]:
        """Return the sizes of a shape that lack rows in all, if these can bring any; small ones first."""
        refused = {size for known in self._ladders.values() for size in known.refused}
        sizes = [size for size in ladder.usable() if not self._is_proven(size) and size not in refused]
        return sorted(size for size in sizes if max(size, self.base) <= rows)

    def _budget_s(self) -> float:
        allowed = SEARCH_S + SEARCH_SHARE * (time.monotonic() - self._began) - self._searched_s
        return min(allowed, SEARCH_S)

    def _find(self, run: Run, arrays: Arrays, shape: str) -> None:
        clock = time.monotonic()
        ends = clock + self._budget_s()
        try:
            known = self._ladders.get(shape) or self._start(run, arrays)
            if known is None:
                return
            sample = Reference(run, filled(arrays, self.base), self.base)
            before = dict(zip(known.sizes, known.checked, strict=True))
            if shape not in self._ladders:
                self._descend(run, sample, known)
            self._climb(run, arrays, sample, ladder=known, ends=ends)
            self._know({**self._ladders, shape: known})
            self._prove(run, sample, ladder=known, before=before, ends=ends)
        except Exception:  # noqa: BLE001 - a bad row in the sample, or no memory: the next batch may do
            return
        finally:
            self._searched_s += time.monotonic() - clock
        self._own.add(shape)
        self._write()

    def _start(self, run: Run, arrays: Arrays) -> Ladder | None:
        """Time the base; none when the rows are too few to certify anything."""
        speed = rows_per_s(run, filled(arrays, self.base), self.base)
        enough = len(arrays[0]) >= min(LEAST_ROWS, CERTIFY_S * speed)
        return Ladder([self.base], [speed], self.base) if enough else None

    def _descend(self, run: Run, sample: Reference, ladder: Ladder) -> None:
        """Certify and time smaller blocks."""
        speed = ladder.rows_per_s[-1]
        for halving in range(1, HALVINGS + 1):
            size = self.base >> halving
            if not size or self.base % size:
                break
            seen = compare(run, sample, size, base=self.base, rows=_enough(speed))
            if not seen.agrees:
                _refuse(ladder, size, seen)
                break
            ladder.sizes.insert(0, size)
            ladder.checked.insert(0, seen.rows)
            ladder.rows_per_s.insert(0, rows_per_s(run, sample.arrays, size))

    def _climb(self, run: Run, arrays: Arrays, sample: Reference, *, ladder: Ladder, ends: float) -> None:
        """Certify and time growing blocks of the sample until they no longer pay, fail or take too long."""
        rows = min(len(arrays[0]), LARGEST_ROWS)
        size = ladder.sizes[-1] * GROWTH
        ladder.done = ladder.done or ladder.sizes[-1] / ladder.rows_per_s[-1] > LONG_S
        while not ladder.done and size <= rows and time.monotonic() + SEARCH_COST * size / ladder.rows_per_s[-1] < ends:
            seen = compare(run, sample, size, base=self.base, rows=_enough(ladder.rows_per_s[-1]))
            if not seen.agrees:
                _refuse(ladder, size, seen)
                ladder.done = True
                break
            speed = rows_per_s(run, arrays, size)
            ladder.sizes.append(size)
            ladder.checked.append(seen.rows)
            ladder.rows_per_s.append(speed)
            if speed > ladder.rows_per_s[ladder.sizes.index(ladder.best)] * WORTH ** math.log2(size / ladder.best):
                ladder.best = size
            ladder.done = size > GROWTH * ladder.best or size / speed > LONG_S
            size *= GROWTH

    def _prove(self, run: Run, sample: Reference, *, ladder: Ladder, before: Mapping[int, int], ends: float) -> None:
        """Check further rows in the sizes that lack some in all; `before` this sample, so many were checked of each."""
        for size in self._unproven(ladder, rows=len(sample)):
            if time.monotonic() > ends:
                break
            missing = ROWS_IN_ALL - in_all(self._ladders, size)
            place = ladder.sizes.index(size)
            known = ladder.checked[place] - before.get(size, 0)
            seen = compare(run, sample, size, base=self.base, rows=missing, after=known, ends=ends)
            if seen.agrees:
                ladder.checked[place] += seen.rows
            else:
                _refuse(ladder, size, seen)
                ladder.drop(size)
        self._in_use = {}

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


def _enough(rows_per_s: float) -> int:
    """Return how many rows certify a size."""
    return int(min(MOST_ROWS, CERTIFY_S * rows_per_s))


def _refuse(ladder: Ladder, size: int, seen: Outcome) -> None:
    if seen.is_rare:
        ladder.refused.append(size)
