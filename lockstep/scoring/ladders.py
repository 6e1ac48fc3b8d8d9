"""What is known of block sizes, and how it is kept for other processes."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Ladder:
    """What is known of one input shape.

    Attributes:
        sizes: Certified block sizes in rows, ascending; the base is one of them.
        rows_per_s: Measured speed of each, in the same order; what the bare model does on one core or device.
        best: The largest to use.
        done: Whether still larger sizes were seen to differ or not to pay; else the sample was too small for them.
        checked: Rows of this shape that each size was shown to agree in, in the same order; none for the base.
        refused: Sizes in which a few rows of this shape differed: what makes a few differ may do so in every shape.
    """

    sizes: list[int]
    rows_per_s: list[float] = field(default_factory=list)
    best: int = 0
    done: bool = False
    checked: list[int] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Check the fields, which may come from a file."""
        self.checked = self.checked or [0] * len(self.sizes)
        if not len(self.sizes) == len(self.checked) or (self.rows_per_s and len(self.rows_per_s) != len(self.sizes)):
            raise ValueError("a ladder's lists have different lengths")

    def usable(self) -> list[int]:
        """Return the sizes to use, largest first."""
        return [size for size in reversed(self.sizes) if size <= self.best]

    def drop(self, size: int) -> None:
        """Forget a size other than the base, and look for no larger ones."""
        place = self.sizes.index(size)
        for known in (self.sizes, self.rows_per_s, self.checked):
            del known[place]
        if self.best == size:
            self.best = self.sizes[place - 1]
            self.done = True


def load_ladders(store: Path | None, *, base: int) -> dict[str, Ladder]:
    """Return what a file keeps by shape; nothing where there is none that can be read, or of another base."""
    if store is None:
        return {}
    try:
        stored = json.loads(store.read_text(encoding="utf-8"))
        ladders = {shape: Ladder(**known) for shape, known in stored.items()}
    except (OSError, ValueError, TypeError):
        return {}
    return {shape: known for shape, known in ladders.items() if base in known.sizes}


def in_all(ladders: Mapping[str, Ladder], size: int) -> int:
    """Return the rows in which a size was shown to agree, over all shapes; 0 when it is refused for one of them."""
    if any(size in ladder.refused for ladder in ladders.values()):
        return 0
    return sum(ladder.checked[ladder.sizes.index(size)] for ladder in ladders.values() if size in ladder.sizes)


def block_size(sizes: Sequence[int], *, rows: int, base: int) -> int:
    """Return the size of the next block: the largest that the rows fill, or for few rows the smallest that holds them.

    Args:
        sizes: Usable sizes, largest first.
        rows: Rows that are left, at least one.
        base: Size of the artifact.
    """
    if rows >= base:
        return next((size for size in sizes if size <= rows), base)
    return min((size for size in sizes if size >= rows), default=base)
