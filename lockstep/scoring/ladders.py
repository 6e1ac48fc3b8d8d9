"""What is known of block sizes, and how it is kept for other processes."""

import json
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
    """

    sizes: list[int]
    rows_per_s: list[float] = field(default_factory=list)
    best: int = 0
    done: bool = False

    def usable(self) -> list[int]:
        """Return the sizes to use, largest first."""
        return [size for size in reversed(self.sizes) if size <= self.best]


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
