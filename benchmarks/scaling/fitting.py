"""How what was measured grows."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

# Below, what a process costs anyway hides the growth, and then records still fit into the processor's caches, which
# makes them cheaper: what is asked is how large runs grow.
SMALLEST = 100_000


def grouped(measured: Sequence[dict[str, Any]]) -> dict[str, dict[int, dict[str, Any]]]:
    """Return what was measured by step and size."""
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for one in measured:
        found.setdefault(one["step"], {})[one["size"]] = one
    return found


def exponent(found: Mapping[int, Mapping[str, float]], name: str, *, smallest: int | None = None) -> float | None:
    """Return the slope of the logarithm of a figure over that of the size, by least squares; none of one size.

    Args:
        found: Figures by size.
        name: Of the figure.
        smallest: Leave out smaller sizes; by default those below `SMALLEST`, unless less than two are left.
    """
    least = SMALLEST if smallest is None else smallest
    points = [(math.log(size), math.log(max(one[name], 1e-6))) for size, one in found.items() if size >= least]
    if len(points) < 2 and smallest is None:
        return exponent(found, name, smallest=0)
    if len(points) < 2:
        return None
    mean_x, mean_y = (sum(values) / len(points) for values in zip(*points, strict=True))
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
