"""The published table of an SQL warehouse: its columns, and the replacement of one partition."""

from collections.abc import Mapping

from lockstep.errors import PublishError
from lockstep.publish.contract import PublishRequest
from lockstep.publish.evolution import ColumnChanges, Widenings, plan_changes
from lockstep.publish.sql.session import SqlSession, quoted

SHAPES = "lockstep_shapes"  # of locks


def planned_changes(session: SqlSession, request: PublishRequest, *, widenings: Widenings) -> tuple[str, ...]:
    """Return what a publication will change in the columns of the table, one sentence each; changes nothing.

    Raises:
        PublishError: The rows do not fit the table.
    """
    existing = session.columns(request.table)
    if not existing or not request.files:
        return ()
    return _changes(session, request, existing, widenings=widenings).sentences(existing)


def reserve_shape(session: SqlSession, request: PublishRequest, *, widenings: Widenings) -> None:
    """Let one transaction at a time make or change a table; the others wait, and then find it made.

    To be called before the transaction reads rows of the table: who reads would be waited for by who changes it.
    """
    if request.files and (not session.columns(request.table) or planned_changes(session, request, widenings=widenings)):
        session.lock(f"{SHAPES}/{request.table}")


def replace_partition(
    session: SqlSession, request: PublishRequest, *, widenings: Widenings
) -> tuple[int, tuple[str, ...]]:
    """Make the table take the rows, delete the partition and load the staged files.

    Returns:
        Rows that were there before, and the changes of the table's columns.

    Raises:
        PublishError: The rows do not fit the table, or are not those of the manifest.
    """
    if not request.files and not session.columns(request.table):
        return 0, ()
    changes = reshape(session, request, widenings=widenings)
    deleted = session.delete(request.table, request.partition_column, value=request.partition)
    inserted = 0
    if request.files:
        inserted = session.load(request.table, request.files, columns=session.columns(request.table))
    if inserted != request.rows:
        raise PublishError(
            f"partition {request.partition} of {request.table} would have {inserted} rows; expected the {request.rows} "
            "of the manifest. The transaction was rolled back; what was live stays."
        )
    return deleted, changes


def partition_rows(session: SqlSession, request: PublishRequest) -> int | None:
    """Count the rows of the partition; `None` when the table is not there."""
    if not session.columns(request.table):
        return None
    where = f"{quoted(request.partition_column)} = ?"
    query = f"SELECT count(*) FROM {quoted(request.table)} WHERE {where}"  # noqa: S608 - quoted
    return int(session.rows(query, [request.partition])[0][0])


def reshape(session: SqlSession, request: PublishRequest, *, widenings: Widenings) -> tuple[str, ...]:
    """Make the table, or make it take the rows; return what changed. Repeating it changes nothing.

    Raises:
        PublishError: The rows do not fit the table.
    """
    if not request.files:
        return ()
    table, existing = quoted(request.table), session.columns(request.table)
    if not existing:
        shape = session.shape(request.files)
        session.create(request.table, shape, partition_column=request.partition_column)
        return ()
    changes = _changes(session, request, existing, widenings=widenings)
    told = changes.sentences(existing)
    for sentence in told:
        request.tell(sentence)
    for name, kind in changes.added.items():
        session.rows(f"ALTER TABLE {table} ADD COLUMN {quoted(name)} {kind}")
    for name, kind in changes.widened.items():
        session.rows(f"ALTER TABLE {table} ALTER COLUMN {quoted(name)} TYPE {kind}")
    return told


def _changes(
    session: SqlSession, request: PublishRequest, existing: Mapping[str, str], *, widenings: Widenings
) -> ColumnChanges:
    may_lack = request.outcome == "restored"
    staged = session.shape(request.files)
    return plan_changes(existing, staged, widenings=widenings, table=request.table, may_lack=may_lack)
