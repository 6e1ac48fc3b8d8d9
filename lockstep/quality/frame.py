"""Read Parquet files as the pandas frame a suite needs, and no more."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from lockstep.errors import ColumnMissing


def read_frame(files: Sequence[Path], *, columns: Sequence[str], where: str) -> pd.DataFrame:
    """Read some columns of some files.

    Dates and timestamps become naive UTC datetimes, decimals doubles, so that bounds written in YAML compare.

    Args:
        files: Parquet files of one schema.
        columns: The columns to read; none gives a frame of as many rows without columns.
        where: What the files are, for messages.

    Raises:
        ColumnMissing: A column is not in the files.
    """
    if not files:
        return pd.DataFrame({column: pd.Series(dtype="float64") for column in columns})
    got = pq.read_schema(files[0]).names
    for column in columns:
        if column not in got:
            raise ColumnMissing(column, where=where, expected="it for a check of the spec's suite", got=got)
    if not columns:
        return pd.DataFrame(index=range(sum(pq.read_metadata(file).num_rows for file in files)))
    tables = [pq.read_table(file, columns=list(columns), partitioning=None) for file in files]
    frame: pd.DataFrame = _comparable(pa.concat_tables(tables)).to_pandas(date_as_object=False)
    return frame


def _comparable(table: pa.Table) -> pa.Table:
    for index, field in enumerate(table.schema):
        if pa.types.is_decimal(field.type):
            kind: pa.DataType = pa.float64()
        elif pa.types.is_date(field.type) or pa.types.is_timestamp(field.type):
            kind = pa.timestamp("us")
        elif pa.types.is_dictionary(field.type):
            kind = field.type.value_type
        else:
            continue
        table = table.set_column(index, field.name, table.column(index).cast(kind, safe=False))
    return table
