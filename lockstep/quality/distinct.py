"""How many different values there are, and which repeat: exact, over 64-bit numbers, without sorting them.

Each round scatters the values into a table by a hash of their bits, so that one value wins each slot. All equal values
share a slot: those equal to the winner are done with, the others go into the next round. Cores share the table:
whichever writes last, one whole value wins. Ten million values take two fifths of the time of sorting them, and a third
of that of a hash table of the embedded engine.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lockstep.quality.numbers import cores, side_by_side

Words = npt.NDArray[np.uint64]

# Most values in a round; more are cut by their upper bits, so that the table stays below 512 MiB.
PART_VALUES = 1 << 24
# 2**64 divided by the golden ratio (Knuth, The Art of Computer Programming, volume 3, 6.4: multiplicative hashing).
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
SMALLEST_BITS = 8
# Values looked at together, and those that are worth another core.
CHUNK_VALUES = 1 << 17
SHARE_VALUES = 1 << 19
# Rounds after which values that keep sharing slots are sorted instead; ten are usual.
MOST_ROUNDS = 40


def count_distinct(values: Words) -> int:
    """Return how many different values there are.

    Args:
        values: `(rows,) uint64`, numbers by their bits.
    """
    return sum(_count(part) for part in _parts(values))


def repeated(values: Words) -> Words:
    """Return the values that occur more than once, in order."""
    if count_distinct(values) == len(values):  # as nearly always; finding which repeat costs more
        return values[:0]
    found = [_repeated(part) for part in _parts(values)]
    return np.unique(np.concatenate(found)) if found else values[:0]


def words(values: npt.NDArray[np.generic]) -> Words:
    """Return numbers as 64-bit words: equal numbers give equal words, others do not."""
    return words_of([values])


def words_of(parts: Sequence[npt.NDArray[Any]]) -> Words:
    """Return numbers of one type, in parts, as 64-bit words."""
    made = np.empty(sum(map(len, parts)), np.uint64)
    place = 0
    for part in parts:
        target = made[place : place + len(part)]
        place += len(part)
        if part.dtype.kind == "f":
            # Adding zero makes -0.0, which equals 0.0, the same bits.
            np.add(part, 0.0, out=target.view(np.float64), dtype=np.float64)
        elif part.dtype.kind == "u":
            target[:] = part
        else:
            target.view(np.int64)[:] = part.astype("datetime64[us]") if part.dtype.kind == "M" else part
    return made


def _parts(values: Words) -> Iterator[Words]:
    """Cut values by a hash, so that equal ones stay together."""
    bits = max(0, math.ceil(math.log2(max(len(values), 1) / PART_VALUES)))
    if bits == 0:
        yield from [values] if len(values) else []
        return
    place = (values ^ (values >> np.uint64(29))) * MULTIPLIER >> np.uint64(64 - bits)
    for part in range(1 << bits):
        yield values[place == np.uint64(part)]


def _bits(values: Words) -> int:
    """Return the bits of a slot: two to four slots for each value."""
    return max(SMALLEST_BITS, math.ceil(math.log2(len(values))) + 1)


def _slots(values: Words, bits: int) -> npt.NDArray[np.int64]:
    mixed = values >> np.uint64(32)
    mixed ^= values
    mixed *= MULTIPLIER
    mixed >>= np.uint64(64 - bits)
    return mixed.view(np.int64)


def _chunks(values: Words) -> Iterator[Words]:
    """Cut values so that what is made of them stays in the cache."""
    for start in range(0, len(values), CHUNK_VALUES):
        yield values[start : start + CHUNK_VALUES]


def _shares(values: Words) -> list[Words]:
    """Cut values for the cores."""
    shares = min(cores(), max(1, len(values) // SHARE_VALUES))
    size = math.ceil(len(values) / shares)
    return [values[start : start + size] for start in range(0, len(values), size)]


def _scattered(values: Words, bits: int) -> Words:
    """Return the table of the values: in each slot one of those that belong there, 0 where none does."""
    table = np.zeros(1 << bits, np.uint64)

    def scatter(share: Words) -> None:
        for chunk in _chunks(share):
            table[_slots(chunk, bits)] = chunk

    list(side_by_side(scatter, _shares(values)))
    return table


def _losers(values: Words, table: Words, bits: int) -> Words:
    """Return the values that are not equal to the winner of their slot."""

    def lost(share: Words) -> list[Words]:
        return [np.compress(table.take(_slots(chunk, bits), mode="wrap") != chunk, chunk) for chunk in _chunks(share)]

    left = [chunk for share in side_by_side(lost, _shares(values)) for chunk in share]
    return np.concatenate(left) if left else values


def _count(values: Words) -> int:
    zeros = len(values) - int(np.count_nonzero(values))
    count = min(zeros, 1)
    values = values[values != 0] if zeros else values  # an empty slot is 0
    for _ in range(MOST_ROUNDS):
        if not len(values):
            return count
        bits = _bits(values)
        table = _scattered(values, bits)
        count += int(np.count_nonzero(table))
        values = _losers(values, table, bits)
    return count + len(np.unique(values))


def _repeated(values: Words) -> Words:
    found: list[Words] = []
    for _ in range(MOST_ROUNDS):
        if not len(values):
            break
        bits = _bits(values)
        table = _scattered(values, bits)
        # Among those that are equal to the winner of their slot are the winner itself and all its repetitions.
        settled = [slots[table[slots] == chunk] for chunk in _chunks(values) for slots in [_slots(chunk, bits)]]
        times = np.bincount(np.concatenate(settled), minlength=1 << bits)
        found.append(table[times > 1])
        values = _losers(values, table, bits)
    ordered, times = np.unique(values, return_counts=True)
    found.append(ordered[times > 1])
    return np.concatenate(found)
