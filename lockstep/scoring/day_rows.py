"""Which rows of a file belong to a day, where the day is a plain column: first by statistics, then by looking."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from lockstep.errors import ColumnMissing, ColumnTypeMismatch
from lockstep.run.plan import DayFilter
from lockstep.scoring.pieces import column_places, day_mask, opened, reading
from lockstep.storage.files import Location


@dataclass(frozen=True)
class Span:
    """Neighbouring rows of a row group.

    Attributes:
        mask: Which of the rows count; none: all.
    """

    group: int
    start: int
    rows: int
    mask: npt.NDArray[np.bool_] | None = None

    @property
    def mixed(self) -> bool:
        """Whether some of the rows do not count."""
        return self.mask is not None

    @property
    def matching(self) -> int:
        """How many of the rows count."""
        return self.rows if self.mask is None else int(self.mask.sum())

    def parts(self, count: int) -> "Iterator[Span]":
        """Cut the span into `count` parts of even size."""
        edges = [self.rows * index // count for index in range(count + 1)]
        for first, last in itertools.pairwise(edges):
            mask = None if self.mask is None else self.mask[first:last]
            yield Span(self.group, self.start + first, last - first, mask)


def spans(path: str, footer: pq.FileMetaData, *, root: Location | None, day: DayFilter | None) -> Iterator[Span]:
    """Return what counts of each row group: nothing, or all between the first and the last row that does.

    Args:
        path: The file.
        footer: Its footer.
        root: Folder that a relative path starts from.
        day: What counts; none: every row.

    Raises:
        ColumnMissing: The file lacks the day column.
        ColumnTypeMismatch: The day column holds neither dates nor texts.
        FileUnreadable: The file is damaged.
    """
    rows = [footer.row_group(index).num_rows for index in range(footer.num_row_groups)]
    if day is None:
        yield from (Span(index, 0, n_rows) for index, n_rows in enumerate(rows) if n_rows)
        return
    place = _place(path, footer, day)
    for index, n_rows in enumerate(rows):
        told = _statistics(footer.row_group(index).column(place), day) if n_rows else False
        if told is None:
            yield from _look(path, index, root=root, day=day)
        elif told:
            yield Span(index, 0, n_rows)


def _place(path: str, footer: pq.FileMetaData, day: DayFilter) -> int:
    schema = footer.schema.to_arrow_schema()
    index = schema.get_field_index(day.column)
    if index < 0:
        raise ColumnMissing(day.column, where=path, expected="the spec's partition column", got=schema.names)
    kind = schema.field(index).type
    if not (pa.types.is_date(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise ColumnTypeMismatch(day.column, where=path, expected="date (or text as YYYY-MM-DD)", got=str(kind))
    return column_places(footer, [day.column])[day.column][0]


def _statistics(chunk: pq.ColumnChunkMetaData, day: DayFilter) -> bool | None:
    """Return whether all rows are of the day or none is; none: the statistics do not tell."""
    known = chunk.statistics
    if known is None or not known.has_min_max:
        return None
    first, last = str(known.min), str(known.max)  # a date's text is its ISO text
    wanted = day.day.isoformat()
    if wanted < first or wanted > last:
        return False
    return True if first == last and known.has_null_count and not known.null_count else None


def _look(path: str, group: int, *, root: Location | None, day: DayFilter) -> Iterator[Span]:
    with opened(path, root=root) as file, reading(path):
        column = file.read_row_group(group, columns=[day.column], use_threads=False).column(day.column)
    mask = np.concatenate([day_mask(chunk, day).to_numpy(zero_copy_only=False) for chunk in column.chunks])
    found = np.flatnonzero(mask)
    if len(found):
        start, stop = int(found[0]), int(found[-1]) + 1
        inside = mask[start:stop]
        yield Span(group, start, stop - start, None if inside.all() else inside)
