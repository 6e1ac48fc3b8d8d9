"""Work units: row-group ranges of Parquet files, the pieces that tasks score one by one.

A unit depends on the files alone, never on the size of the cluster; that makes resume and byte-identical results
possible.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lockstep.run.plan import Unit


def plan_units(root: Path, files: Sequence[str], *, unit_bytes: int) -> tuple[Unit, ...]:
    """Cut files into units of about `unit_bytes` of Parquet, never across files or inside a row group.

    Args:
        root: Folder that the file names are relative to.
        files: Parquet files; their order fixes the unit ids.
        unit_bytes: Size above which a unit ends, in bytes.

    Returns:
        Units that hold every row exactly once; files without rows give none.
    """
    units: list[Unit] = []
    for name in files:
        metadata = pq.read_metadata(root / name)
        sizes = [metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups)]
        for start, stop in _ranges(sizes, unit_bytes):
            rows = sum(metadata.row_group(i).num_rows for i in range(start, stop))
            if rows:
                size = sum(sizes[start:stop])
                units.append(
                    Unit(
                        id=f"u{len(units):05d}",
                        path=name,
                        row_group_start=start,
                        row_group_stop=stop,
                        rows=rows,
                        size_bytes=size,
                    )
                )
    return tuple(units)


def _ranges(sizes: Sequence[int], limit: int) -> Iterator[tuple[int, int]]:
    start, total = 0, 0
    for index, size in enumerate(sizes):
        if index > start and total + size > limit:
            yield start, index
            start, total = index, 0
        total += size
    if start < len(sizes):
        yield start, len(sizes)


def read_unit(root: Path, unit: Unit, *, columns: Sequence[str], batch_rows: int) -> Iterator[pa.RecordBatch]:
    """Read the named columns of a unit in batches of at most `batch_rows` rows."""
    with pq.ParquetFile(root / unit.path) as file:
        groups = list(range(unit.row_group_start, unit.row_group_stop))
        yield from file.iter_batches(batch_size=batch_rows, row_groups=groups, columns=list(columns))
