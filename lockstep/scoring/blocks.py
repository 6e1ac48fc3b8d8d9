"""Block sizes: how many rows the model scores at a time, without a bit of any result depending on it.

Kernels choose their order of summation by shape, not by value, so two block sizes either give equal bits for all rows
or differ for almost every row of generic data. The base size, part of the artifact, defines the result; the endpoint
and the tail of a batch use it. A larger size is used only once it was certified on this machine: the same rows, scored
both ways, in two orders, agree in every bit. Among certified sizes the fastest is found by measuring (the knee); as
all agree, a noisy measurement costs speed at most.
"""

import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from lockstep.scoring.backends import Arrays

GROWTH = 4
LARGEST_ROWS = 65_536
SEARCH_S = 2.0
# A larger block must be faster by this much to be worth its memory.
WORTH = 1.03
Run = Callable[[Arrays], Arrays]


@dataclass
class Ladder:
    """What is known of one input shape.

    Attributes:
        sizes: Certified block sizes in rows, ascending; the first is the base.
        rows_per_s: Measured speed of each, in the same order; what the bare model does on one core or device.
        best: The size to use.
    """

    sizes: list[int]
    rows_per_s: list[float] = field(default_factory=list)
    best: int = 0

    def usable(self) -> list[int]:
        """Return the sizes to use, largest first, down to the base."""
        return [size for size in reversed(self.sizes) if size <= self.best]


class BlockSizes:
    """The block sizes of one loaded model on one device."""

    def __init__(self, base: int, *, store: Path | None = None, search: bool = False) -> None:
        self.base = base
        self._store = store
        self._search = search
        self._ladders: dict[str, Ladder] = {}
        self._read = False

    @property
    def ladders(self) -> Mapping[str, Ladder]:
        """What is known so far, by shape of the inputs."""
        return self._ladders

    def usable(self, run: Run, arrays: Arrays) -> list[int]:
        """Return the sizes to use for rows of this shape, largest first; the base is always the last.

        Args:
            run: Scores a block.
            arrays: Encoded rows, the sample of a first search.
        """
        shape = shape_of(arrays)
        ladder = self._known(shape)
        if self._search and self._wants_search(ladder, rows=len(arrays[0])):
            ladder = self._found(run, arrays, shape) or ladder
        return ladder.usable() if ladder else [self.base]

    def shrink(self, arrays: Arrays) -> bool:
        """Use a smaller block for this shape from now on; false when it is the base already."""
        ladder = self._ladders.get(shape_of(arrays))
        smaller = [size for size in ladder.sizes if size < ladder.best] if ladder else []
        if ladder is None or not smaller:
            return False
        ladder.best = smaller[-1]
        return True

    def revoke(self, arrays: Arrays) -> None:
        """Use nothing but the base for this shape: a certified size was seen to differ."""
        self._ladders[shape_of(arrays)] = Ladder([self.base], [0.0], self.base)
        self._write()

    def bare_seconds(self, arrays: Arrays) -> float | None:
        """Return how long the bare model takes for these rows at its best measured speed; none when not measured."""
        ladder = self._ladders.get(shape_of(arrays))
        fastest = max(ladder.rows_per_s, default=0.0) if ladder else 0.0
        return len(arrays[0]) / fastest if fastest else None

    def _known(self, shape: str) -> Ladder | None:
        if not self._read:
            self._ladders.update(_load(self._store, base=self.base))
            self._read = True
        return self._ladders.get(shape)

    def _wants_search(self, ladder: Ladder | None, *, rows: int) -> bool:
        """Whether there is nothing known, or a small sample ended an earlier search that these rows can take on."""
        if rows < self.base * GROWTH:
            return False
        if ladder is None:
            return True
        climbing = ladder.best == ladder.sizes[-1] and len(ladder.sizes) > 1
        return climbing and ladder.sizes[-1] * GROWTH <= min(rows, LARGEST_ROWS) and not self._spent(ladder)

    def _spent(self, ladder: Ladder) -> bool:
        return ladder.sizes[-1] * GROWTH / max(ladder.rows_per_s[-1], 1.0) > SEARCH_S

    def _found(self, run: Run, arrays: Arrays, shape: str) -> Ladder | None:
        try:
            ladder = self._climb(run, arrays)
        except Exception:  # noqa: BLE001 - a bad row in the sample, or no memory: the next batch may do
            return None
        self._ladders[shape] = ladder
        self._write()
        return ladder

    def _climb(self, run: Run, arrays: Arrays) -> Ladder:
        """Certify and time growing blocks of the sample until they no longer pay, fail or take too long."""
        began = time.monotonic()
        rows = min(len(arrays[0]), LARGEST_ROWS)
        ladder = Ladder([self.base], [self._time(run, arrays, self.base)], self.base)
        size = self.base * GROWTH
        while size <= rows and (time.monotonic() - began) + 4 * size / ladder.rows_per_s[-1] < SEARCH_S:
            if not (self._agrees(run, arrays, size) and self._agrees(run, _reversed(arrays, size), size)):
                break
            speed = self._time(run, arrays, size)
            ladder.sizes.append(size)
            ladder.rows_per_s.append(speed)
            if speed > WORTH * ladder.rows_per_s[ladder.sizes.index(ladder.best)]:
                ladder.best = size
            elif size > GROWTH * ladder.best:
                break
            size *= GROWTH
        return ladder

    def _agrees(self, run: Run, arrays: Arrays, size: int) -> bool:
        whole = run(tuple(array[:size] for array in arrays))
        for start in range(0, size, self.base):
            part = run(tuple(array[start : start + self.base] for array in arrays))
            if not same_bits(part, tuple(array[start : start + self.base] for array in whole)):
                return False
        return True

    @staticmethod
    def _time(run: Run, arrays: Arrays, size: int) -> float:
        block = tuple(array[:size] for array in arrays)
        run(block)
        took = []
        for _ in range(3):
            clock = time.perf_counter()
            run(block)
            took.append(time.perf_counter() - clock)
        return size / max(min(took), 1e-9)

    def _write(self) -> None:
        if self._store is None:
            return
        try:
            self._store.parent.mkdir(parents=True, exist_ok=True)
            partial = self._store.with_name(f".{self._store.name}.{uuid.uuid4().hex}")
            partial.write_text(json.dumps({shape: asdict(known) for shape, known in self._ladders.items()}, indent=1))
            partial.replace(self._store)
        except OSError:
            self._store = None  # a full or read-only cache costs the next process a search, nothing else


def shape_of(arrays: Arrays) -> str:
    """Return dtypes and trailing shapes of input arrays, such as `int64[3] float32[30]`."""
    return " ".join(f"{array.dtype}{list(array.shape[1:])}".replace(", ", "x") for array in arrays)


def same_bits(left: Arrays, right: Arrays) -> bool:
    """Whether arrays are equal in every bit (objects: equal values)."""
    for one, other in zip(left, right, strict=True):
        if one.dtype != other.dtype or one.shape != other.shape:
            return False
        equal = np.array_equal(one, other) if one.dtype.hasobject else one.tobytes() == other.tobytes()
        if not equal:
            return False
    return True


def _reversed(arrays: Arrays, size: int) -> Arrays:
    return tuple(np.ascontiguousarray(array[-size:][::-1]) for array in arrays)


def _load(store: Path | None, *, base: int) -> dict[str, Ladder]:
    if store is None:
        return {}
    try:
        stored = json.loads(store.read_text(encoding="utf-8"))
        ladders = {shape: Ladder(**known) for shape, known in stored.items()}
    except (OSError, ValueError, TypeError):
        return {}
    return {shape: known for shape, known in ladders.items() if known.sizes[:1] == [base]}
