"""Read Parquet files, or the input of a run, as the pandas frame a suite needs, and no more."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from lockstep.errors import ColumnMissing
from lockstep.run.plan import ScoringInput
from lockstep.scoring.units import read_unit
from lockstep.specs.spec import Limits

# Figures of a tensor column that a suite may check as `<column>.<figure>`: `(rows, elements) float64` to `(rows,)`.
FIGURES: dict[str, Callable[[npt.NDArray[np.float64]], Any]] = {
    "norm": lambda values: np.sqrt(np.einsum("ij,ij->i", values, values)),
    "mean": lambda values: values.mean(axis=1),
    "min": lambda values: values.min(axis=1),
    "max": lambda values: values.max(axis=1),
}


def read_frame(files: Sequence[Path], *, columns: Sequence[str], where: str) -> pd.DataFrame:
    """Read some columns of some files.

    Dates and timestamps become naive UTC datetimes, decimals doubles, so that bounds written in YAML compare. Of a
    column of fixed-size lists (a tensor) the figures `<column>.norm`, `.mean`, `.min` and `.max` are columns too.

    Args:
        files: Parquet files of one schema.
        columns: The columns or figures to read; none gives a frame of as many rows without columns.
        where: What the files are, for messages.

    Raises:
        ColumnMissing: A column is not in the files.
    """
    if not files:
        return pd.DataFrame({column: pd.Series(dtype="float64") for column in columns})
    schema = pq.read_schema(files[0])
    sources = _sources(columns, schema, where=where, known=_names(schema))
    if not columns:
        return pd.DataFrame(index=range(sum(pq.read_metadata(file).num_rows for file in files)))
    wanted = list(dict.fromkeys(sources))
    tables = [_figures(pq.read_table(file, columns=wanted, partitioning=None), columns) for file in files]
    frame: pd.DataFrame = _comparable(pa.concat_tables(tables)).to_pandas(date_as_object=False)
    return frame


def read_input_frame(
    root: Path, scoring_input: ScoringInput, *, columns: Sequence[str], limits: Limits, where: str
) -> pd.DataFrame:
    """Read some columns of the input of a run, wherever its files are; see `read_frame`.

    Args:
        root: The run folder.
        scoring_input: The run's input.
        columns: The columns or figures to read.
        limits: Bounds of what is read at a time.
        where: What the input is, for messages.

    Raises:
        ColumnMissing: A column is not in the input.
        FileUnreadable, SourceFileChanged: The files are no longer what they were.
    """
    if not scoring_input.units:
        return pd.DataFrame({column: pd.Series(dtype="float64") for column in columns})
    if not columns:
        return pd.DataFrame(index=range(scoring_input.rows))
    stored = [*columns, *(column.rpartition(".")[0] for column in columns if "." in column)]
    bounds = {"batch_rows": limits.batch_rows, "batch_bytes": limits.batch_bytes}
    tables = []
    for unit in scoring_input.units:
        table = pa.Table.from_batches(read_unit(root, unit, columns=stored, **bounds))
        _sources(columns, table.schema, where=where, known=list(scoring_input.columns))
        tables.append(_figures(table, columns))
    whole = pa.concat_tables(tables, promote_options="permissive")
    frame: pd.DataFrame = _comparable(whole).to_pandas(date_as_object=False)
    return frame


def _sources(columns: Sequence[str], schema: pa.Schema, *, where: str, known: Sequence[str]) -> list[str]:
    """Return the stored column behind each column or figure, or raise `ColumnMissing`."""
    sources = []
    for column in columns:
        source = _source(column, schema)
        if source is None:
            raise ColumnMissing(column, where=where, expected="it for a check of the spec's suite", got=known)
        sources.append(source)
    return sources


def _source(column: str, schema: pa.Schema) -> str | None:
    """Return the stored column behind a column or a figure, or none."""
    if column in schema.names:
        return column
    name, _, figure = column.rpartition(".")
    is_tensor = name in schema.names and pa.types.is_fixed_size_list(schema.field(name).type)
    return name if is_tensor and figure in FIGURES else None


def _names(schema: pa.Schema) -> list[str]:
    """Return the columns that a check may name."""
    tensors = [field.name for field in schema if pa.types.is_fixed_size_list(field.type)]
    return [*schema.names, *(f"{name}.{figure}" for name in tensors for figure in FIGURES)]


def _figures(table: pa.Table, columns: Sequence[str]) -> pa.Table:
    """Return the columns and figures of a table, in order."""
    stored = [column if column in table.column_names else None for column in columns]
    made = [
        table.column(column) if name else _figure(table, column) for name, column in zip(stored, columns, strict=True)
    ]
    return pa.table(dict(zip(columns, made, strict=True)))


def _figure(table: pa.Table, column: str) -> pa.ChunkedArray:
    """Compute a figure; a tensor column read from Parquet has no nulls, for pyarrow cannot read such."""
    name, _, figure = column.rpartition(".")
    chunks = []
    for chunk in table.column(name).chunks:
        values = chunk.flatten().to_numpy(zero_copy_only=False).reshape(len(chunk), chunk.type.list_size)
        chunks.append(pa.array(FIGURES[figure](values.astype(np.float64)), pa.float64()))
    return pa.chunked_array(chunks, pa.float64())


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
