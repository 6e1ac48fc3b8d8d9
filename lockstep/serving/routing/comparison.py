"""How far a shadow's scores are from those that were answered, row by row, by the rule of the batch's comparison."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lockstep.scoring.backends import Arrays
from lockstep.scoring.signature import Signature

Distances = npt.NDArray[np.float64]
NUMBERS = "biuf"


def shared_outputs(
    ours: Signature, theirs: Signature, *, compared: Sequence[str] | None = None
) -> list[tuple[int, int]]:
    """Return the places of the outputs that are compared.

    Args:
        ours: Of the version that answered.
        theirs: Of the shadow.
        compared: Their names; none: all that both have.

    Returns:
        Of each output its place in both; none when one of `compared` is missing in either.
    """
    mine = {output.name: place for place, output in enumerate(ours.outputs)}
    other = {output.name: place for place, output in enumerate(theirs.outputs)}
    names = compared if compared is not None else [name for name in mine if name in other]
    if any(name not in mine or name not in other for name in names):
        return []
    return [(mine[name], other[name]) for name in names]


def distances(answered: Arrays, shadow: Arrays, places: Sequence[tuple[int, int]]) -> Distances:
    """Return how far the scores of each row are apart: the largest difference over outputs and elements.

    Args:
        answered: `(rows, *shape)` arrays of the version that answered.
        shadow: The same of the shadow.
        places: Which outputs to compare; at least one.

    Returns:
        `(rows,) float64`. Texts are 0 apart or infinitely far, and so are outputs of different shapes.
    """
    found: Distances = np.max([_apart(answered[one], shadow[other]) for one, other in places], axis=0)
    return found


def _apart(ours: npt.NDArray[np.generic], theirs: npt.NDArray[np.generic]) -> Distances:
    rows = len(ours)
    if ours.shape != theirs.shape or (ours.dtype.kind in NUMBERS) != (theirs.dtype.kind in NUMBERS):
        return np.full(rows, math.inf)
    if ours.dtype.kind not in NUMBERS:
        unequal = (ours != theirs).reshape(rows, -1).any(axis=1)
        return np.where(unequal, math.inf, 0.0)
    apart: Distances = np.abs(theirs.astype(np.float64) - ours.astype(np.float64)).reshape(rows, -1)
    largest: Distances = apart.max(axis=1, initial=0.0)
    return largest
