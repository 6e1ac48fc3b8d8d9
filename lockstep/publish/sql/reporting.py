"""Reporting tables in an SQL warehouse: the spec's queries over the published scores, partition by partition."""

import contextlib
import datetime as dt
from collections.abc import Iterator, Sequence

from lockstep.errors import PublishError
from lockstep.publish.contract import ReportingTable
from lockstep.publish.sql.ledger import RESERVED, live_partitions
from lockstep.publish.sql.session import SqlSession, StatementFailed, quoted, text
from lockstep.publish.sql.table import SHAPES

SCORES, OUTCOMES, SHAPE = "scores", "outcomes", "lockstep_shape"


def refresh(session: SqlSession, table: ReportingTable, partitions: Sequence[dt.date] | None) -> int:
    """Recompute partitions of a reporting table, in the session's transaction.

    A table of another shape (its query was edited) is rebuilt for all live partitions.

    Returns:
        Rows written.

    Raises:
        PublishError: The query does not run, or the name belongs to something else.
    """
    _check_owner(session, table)
    days = live_partitions(session, table.scores) if partitions is None else list(partitions)
    if not days or not session.columns(table.scores):
        return 0
    wanted = _shape(session, table, days[0])
    if session.columns(table.name) != wanted:  # one transaction at a time makes it; the others then find it made
        session.lock(f"{SHAPES}/{table.name}")
    existing = session.columns(table.name)
    if existing and existing != wanted:
        session.rows(f"DROP TABLE {quoted(table.name)}")
        days, existing = live_partitions(session, table.scores), {}
    if not existing:
        session.create(table.name, wanted, partition_column=table.partition_column)
        session.rows(f"COMMENT ON TABLE {quoted(table.name)} IS {text(_owner(table))}")
    else:
        for day in sorted(days):  # always in this order, so that no two wait for each other
            session.lock(f"{table.name}/{day}")
    return sum(_refresh_day(session, table, day, columns=list(wanted)) for day in days)


def _refresh_day(session: SqlSession, table: ReportingTable, day: dt.date, *, columns: Sequence[str]) -> int:
    session.delete(table.name, table.partition_column, value=day)
    names = ", ".join(quoted(column) for column in columns)
    with _views(session, table, day), _named(table):
        session.rows(f"INSERT INTO {quoted(table.name)} ({names}) SELECT {names} FROM {SHAPE}")  # noqa: S608 - quoted
        counted = session.rows(
            f"SELECT count(*) FROM {quoted(table.name)} WHERE {quoted(table.partition_column)} = ?",  # noqa: S608
            [day],
        )
    return int(counted[0][0])


def _shape(session: SqlSession, table: ReportingTable, day: dt.date) -> dict[str, str]:
    with _views(session, table, day):
        shape = session.columns(SHAPE)
    if shape.get(table.partition_column, "").upper() != "DATE":
        raise PublishError(
            f"reporting table {table.name}: the query {table.origin} must return the partition column "
            f"{table.partition_column!r} as DATE; it returns {', '.join(f'{n} {t}' for n, t in shape.items())}. "
            "Nothing was changed."
        )
    return shape


@contextlib.contextmanager
def _views(session: SqlSession, table: ReportingTable, day: dt.date) -> Iterator[None]:
    """Give the query its two relations, of one day, and the query a name."""
    where = f"{quoted(table.partition_column)} = DATE '{day}'"
    session.rows(f"CREATE TEMP VIEW {SCORES} AS SELECT * FROM {session.schema}.{quoted(table.scores)} WHERE {where}")  # noqa: S608
    session.outcomes(table, day, name=OUTCOMES)
    with _named(table):
        session.rows(f"CREATE TEMP VIEW {SHAPE} AS {_query(table)}")
    yield
    # After a failure the transaction is rolled back, which takes them with it.
    session.rows(f"DROP VIEW {SHAPE}")
    session.forget_outcomes(OUTCOMES)
    session.rows(f"DROP VIEW {SCORES}")


@contextlib.contextmanager
def _named(table: ReportingTable) -> Iterator[None]:
    """Say in an error of the engine which query it is about."""
    try:
        yield
    except StatementFailed as error:
        raise PublishError(
            f"reporting table {table.name}: the query {table.origin} failed: {error}. Nothing was changed: scores and "
            f"{table.name} are as they were. Correct the query and run the same command again."
        ) from error


def _check_owner(session: SqlSession, table: ReportingTable) -> None:
    if table.name in (*RESERVED, SCORES, OUTCOMES, SHAPE, table.scores):
        raise PublishError(
            f"reporting table {table.name} of spec {table.spec}: the name is taken by Lockstep; choose another"
        )
    owner = session.comment(table.name)
    if owner is not None and owner != _owner(table):
        raise PublishError(
            f"reporting table {table.name} of spec {table.spec}: the warehouse has another table of this name "
            f"({owner or 'no owner noted'}). Nothing was changed. Choose another name."
        )


def _owner(table: ReportingTable) -> str:
    return f"Lockstep reporting table of spec {table.spec}"


def _query(table: ReportingTable) -> str:
    """Return the query as one SELECT: a second statement in the file is a syntax error."""
    return f"SELECT * FROM (\n{table.query.strip().rstrip(';')}\n) AS answer"  # noqa: S608 - the spec's own query
