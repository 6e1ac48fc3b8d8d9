"""The published table in DuckDB: its shape, and the replacement of one partition."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from lockstep.errors import PublishError, StagedFileChanged
from lockstep.publish.contract import PublishRequest
from lockstep.run.identity import file_sha256

GLOB_CHARACTERS = "*?["
# DuckDB has arrays of a fixed size up to this one; larger tensors are lists.
LARGEST_ARRAY = 100_000


def quoted(name: str) -> str:
    """Quote an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal_path(path: Path) -> str:
    """Write a path so that DuckDB reads that very file, whatever pattern characters its name has."""
    return "".join(f"[{char}]" if char in GLOB_CHARACTERS else char for char in str(path))


def verify_files(request: PublishRequest) -> None:
    """Raise `StagedFileChanged` unless every file has the size and hash of the manifest."""
    for file in request.files:
        try:
            size, sha256 = file.path.stat().st_size, file_sha256(file.path)
        except OSError as error:
            raise StagedFileChanged(
                str(file.path), expected="the scored file", got=error.strerror or str(error)
            ) from error
        if (size, sha256) != (file.size_bytes, file.sha256):
            expected = f"{file.size_bytes} bytes, sha256 {file.sha256}"
            raise StagedFileChanged(str(file.path), expected=expected, got=f"{size} bytes, sha256 {sha256}")


def table_columns(connection: duckdb.DuckDBPyConnection, table: str) -> dict[str, str]:
    """Return the columns of a table with their types, in order; empty when there is no such table or view."""
    where = "table_name = ? AND NOT internal AND schema_name = 'main'"
    query = f"SELECT column_name, data_type FROM duckdb_columns() WHERE {where} ORDER BY column_index"  # noqa: S608
    return dict(connection.execute(query, [table]).fetchall())


def replace_partition(connection: duckdb.DuckDBPyConnection, request: PublishRequest) -> int:
    """Delete the partition, insert the staged rows, and check them. Call it inside a transaction.

    Returns:
        Rows that were there before.

    Raises:
        PublishError: The table has another shape, or the rows are not those of the manifest.
    """
    paths = [literal_path(file.path) for file in request.files]
    if paths:
        _prepare_table(connection, request, paths)
    elif not table_columns(connection, request.table):
        return 0
    table, column = quoted(request.table), quoted(request.partition_column)
    deleted = _count(connection, f"DELETE FROM {table} WHERE {column} = ?", [request.partition])  # noqa: S608 - quoted
    inserted = 0
    if paths:
        insert = f"INSERT INTO {table} BY NAME SELECT * FROM read_parquet(?, hive_partitioning = false)"  # noqa: S608
        inserted = _count(connection, insert, [paths])
    live = partition_rows(connection, request.table, request.partition_column, partition=request.partition)
    if not inserted == live == request.rows:
        raise PublishError(
            f"partition {request.partition} of {request.table} would have {live} rows of {inserted} inserted; "
            f"expected the {request.rows} of the manifest. The transaction was rolled back; what was live stays."
        )
    return deleted


def partition_rows(connection: duckdb.DuckDBPyConnection, table: str, column: str, *, partition: dt.date) -> int | None:
    """Count the rows of a partition; `None` when the table is not there."""
    if not table_columns(connection, table):
        return None
    return _count(connection, f"SELECT count(*) FROM {quoted(table)} WHERE {quoted(column)} = ?", [partition])  # noqa: S608


def _prepare_table(connection: duckdb.DuckDBPyConnection, request: PublishRequest, paths: Sequence[str]) -> None:
    described = connection.execute(
        "DESCRIBE SELECT * FROM read_parquet(?, hive_partitioning = false)", [paths]
    ).fetchall()
    staged = {row[0]: row[1] for row in described} | _tensors(pq.read_schema(request.files[0].path), described)
    existing = table_columns(connection, request.table)
    if not existing:
        shape = ", ".join(f"{quoted(name)} {kind}" for name, kind in staged.items())
        connection.execute(f"CREATE TABLE {quoted(request.table)} ({shape})")
    elif problems := _differences(existing, staged):
        raise PublishError(
            f"table {request.table} has another shape than the rows of run {request.run_key}: {'; '.join(problems)}. "
            "Nothing was published and what was live stays. "
            "Publish to another table (publish.table in the spec) or alter this one."
        )


def _tensors(schema: pa.Schema, described: Sequence[tuple[str, ...]]) -> dict[str, str]:
    """Return the array types, such as `FLOAT[384]`, of columns that DuckDB reads as lists of any length.

    They take less room, and vector functions accept them alone.
    """
    kinds = {row[0]: row[1] for row in described}
    return {
        field.name: f"{kinds[field.name].removesuffix('[]')}[{field.type.list_size}]"
        for field in schema
        if pa.types.is_fixed_size_list(field.type) and 0 < field.type.list_size <= LARGEST_ARRAY
    }


def _differences(existing: dict[str, str], staged: dict[str, str]) -> list[str]:
    extra = [f"the rows have {name} {staged[name]}, the table does not" for name in staged if name not in existing]
    lacking = [f"the table has {name} {existing[name]}, the rows do not" for name in existing if name not in staged]
    other = [
        f"column {name}: expected {existing[name]}, got {staged[name]}"
        for name in staged
        if name in existing and existing[name] != staged[name]
    ]
    return [*extra, *lacking, *other]


def _count(connection: duckdb.DuckDBPyConnection, query: str, parameters: list[object]) -> int:
    row = connection.execute(query, parameters).fetchone()
    return int(row[0]) if row else 0
