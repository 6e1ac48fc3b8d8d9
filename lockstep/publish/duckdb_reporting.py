"""Reporting tables in DuckDB: the spec's queries over the published scores, partition by partition."""

import contextlib
import datetime as dt
from collections.abc import Iterator, Sequence

import duckdb

from lockstep.errors import PublishError
from lockstep.publish.contract import ReportingTable
from lockstep.publish.duckdb_connection import first_line
from lockstep.publish.duckdb_table import literal_path, quoted, table_columns
from lockstep.publish.ledger import RESERVED, live_partitions

SCORES_VIEW, OUTCOMES_VIEW = "scores", "outcomes"


def refresh(connection: duckdb.DuckDBPyConnection, table: ReportingTable, partitions: Sequence[dt.date] | None) -> int:
    """Recompute partitions of a reporting table. Call it inside a transaction.

    A table of another shape (its query was edited) is rebuilt for all live partitions.

    Returns:
        Rows written.

    Raises:
        PublishError: The query does not run, or the name belongs to something else.
    """
    _check_owner(connection, table)
    days = live_partitions(connection, table.scores) if partitions is None else list(partitions)
    if not days:
        return 0
    wanted = _shape(connection, table, days[0])
    existing = table_columns(connection, table.name)
    if existing and existing != wanted:
        connection.execute(f"DROP TABLE {quoted(table.name)}")
        days, existing = live_partitions(connection, table.scores), {}
    if not existing:
        shape = ", ".join(f"{quoted(name)} {kind}" for name, kind in wanted.items())
        connection.execute(f"CREATE TABLE {quoted(table.name)} ({shape})")
        connection.execute(f"COMMENT ON TABLE {quoted(table.name)} IS {_text(_owner(table))}")
    return sum(_refresh_day(connection, table, day) for day in days)


def _refresh_day(connection: duckdb.DuckDBPyConnection, table: ReportingTable, day: dt.date) -> int:
    name = quoted(table.name)
    connection.execute(f"DELETE FROM {name} WHERE {quoted(table.partition_column)} = ?", [day])  # noqa: S608 - quoted
    with _views(connection, table, day):
        row = connection.execute(f"INSERT INTO {name} BY NAME ({_query(table)})").fetchone()
    return int(row[0]) if row else 0


def _shape(connection: duckdb.DuckDBPyConnection, table: ReportingTable, day: dt.date) -> dict[str, str]:
    try:
        with _views(connection, table, day):
            described = connection.execute(f"DESCRIBE {_query(table)}").fetchall()
    except duckdb.Error as error:
        raise PublishError(
            f"reporting table {table.name}: the query {table.origin} failed: {first_line(error)}. The scores are live; "
            f"{table.name} is as it was. Correct the query and run the same command again."
        ) from error
    shape = {row[0]: row[1] for row in described}
    if shape.get(table.partition_column) != "DATE":
        raise PublishError(
            f"reporting table {table.name}: the query {table.origin} must return the partition column "
            f"{table.partition_column!r} as DATE; it returns {', '.join(f'{n} {t}' for n, t in shape.items())}. "
            "The scores are live."
        )
    return shape


@contextlib.contextmanager
def _views(connection: duckdb.DuckDBPyConnection, table: ReportingTable, day: dt.date) -> Iterator[None]:
    """Give the query its two views, of one day."""
    where = f"{quoted(table.partition_column)} = DATE '{day}'"
    scores = f"SELECT * FROM main.{quoted(table.scores)} WHERE {where}"  # noqa: S608 - quoted
    connection.execute(f"CREATE TEMP VIEW {SCORES_VIEW} AS {scores}")
    connection.execute(f"CREATE TEMP VIEW {OUTCOMES_VIEW} AS {_outcomes(table, day)}")
    try:
        yield
    finally:
        with contextlib.suppress(duckdb.Error):  # the transaction may be aborted, which takes the views with it
            connection.execute(f"DROP VIEW IF EXISTS temp.{SCORES_VIEW}")
            connection.execute(f"DROP VIEW IF EXISTS temp.{OUTCOMES_VIEW}")


def _outcomes(table: ReportingTable, day: dt.date) -> str:
    folder = table.outcomes_folder / f"{table.outcomes_partition}={day}"
    stamp = f"DATE '{day}' AS {quoted(table.outcomes_partition)}"
    if any(folder.glob("*.parquet")):
        files = _text(f"{literal_path(folder)}/*.parquet")
        columns = f"COLUMNS(name -> name <> {_text(table.outcomes_partition)}), {stamp}"
        options = "hive_partitioning = false, union_by_name = true"
        return f"SELECT {columns} FROM read_parquet({files}, {options})"  # noqa: S608 - quoted
    empty = [f"CAST(NULL AS {kind}) AS {quoted(name)}" for name, kind in table.outcomes_columns.items()]
    return f"SELECT {', '.join([*empty, stamp])} WHERE false"


def _check_owner(connection: duckdb.DuckDBPyConnection, table: ReportingTable) -> None:
    if table.name in (*RESERVED, table.scores):
        raise PublishError(
            f"reporting table {table.name} of spec {table.spec}: the name is taken by Lockstep; choose another"
        )
    query = "SELECT comment FROM duckdb_tables() WHERE table_name = ? AND NOT internal"
    row = connection.execute(query, [table.name]).fetchone()
    if row is not None and row[0] != _owner(table):
        raise PublishError(
            f"reporting table {table.name} of spec {table.spec}: the warehouse has another table of this name "
            f"({row[0] or 'no owner noted'}). The scores are live; that table was not touched. Choose another name."
        )


def _owner(table: ReportingTable) -> str:
    return f"Lockstep reporting table of spec {table.spec}"


def _query(table: ReportingTable) -> str:
    """Return the query as one SELECT: a second statement in the file is a syntax error."""
    return f"SELECT * FROM (\n{table.query.strip().rstrip(';')}\n)"  # noqa: S608 - the spec's own query


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
