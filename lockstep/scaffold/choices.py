"""Guesses of what a spec needs and neither a model nor a table says: the column of the day, the key."""

import itertools
import re
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from lockstep.scaffold.tables import DayColumn, FoundTable
from lockstep.specs.fields import IDENTIFIER

KEY_NAME = re.compile(r"(^|_)(id|uuid|guid|key|number|no|nr|code)$|id$", re.IGNORECASE)
# Pairs and triples are tried among so many columns.
AMONG = 12
MOST_COLUMNS = 3


def likely_day(found: FoundTable) -> DayColumn | None:
    """Return the one column that can say the day: the only partition or the only column; none: somebody must say."""
    return found.days[0] if len(found.days) == 1 else None


def likely_keys(rows: pa.Table, *, day: str | None, inputs: Sequence[str], most: int = 3) -> list[tuple[str, ...]]:
    """Return sets of columns that tell all rows of a sample apart, the likeliest first.

    Fewer columns come before more; names such as `customer_id` before others; columns that the model does not read
    before those that it does.

    Args:
        rows: The sample.
        day: Column of the day, which is part of every key anyway; none: the table has none.
        inputs: What the model reads.
        most: How many to return.
    """
    usable = [name for name in rows.column_names if name != day and _can_be_key(rows.column(name), name)]
    usable.sort(key=lambda name: (not KEY_NAME.search(name), name in inputs))
    found: list[tuple[str, ...]] = []
    for size in range(1, MOST_COLUMNS + 1):
        among = usable if size == 1 else usable[:AMONG]
        for columns in itertools.combinations(among, size):
            if any(set(smaller) <= set(columns) for smaller in found):
                continue
            if tells_apart(rows, columns):
                found.append(columns)
                if len(found) == most:
                    return found
    return found


def _can_be_key(column: pa.ChunkedArray, name: str) -> bool:
    kind = column.type
    plain = pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)
    dated = pa.types.is_date(kind) or pa.types.is_timestamp(kind)
    return (plain or dated) and column.null_count == 0 and IDENTIFIER.fullmatch(name) is not None


def tells_apart(rows: pa.Table, columns: Sequence[str]) -> bool:
    """Whether no two rows have the same values in these columns."""
    if len(columns) == 1:
        return bool(pc.count_distinct(rows.column(columns[0])).as_py() == rows.num_rows)
    grouped = rows.select(columns).group_by(list(columns)).aggregate([])
    return bool(grouped.num_rows == rows.num_rows)
