"""Open a DuckDB file for as short as possible; wait, within bounds, for another process that has it open."""

import contextlib
import re
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb

from lockstep.errors import PublishError, WarehouseLocked
from lockstep.publish.patience import Patience

# No extension is ever fetched.
CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}
CONFLICT = "onflict"
# Three blocks of 4 KiB begin a database; whoever makes one has written them after so many seconds.
HEADER_BYTES, MAKING_S = 3 * 4096, 5.0
HOLDER = re.compile(r"held in (?P<program>.+?) \(PID (?P<pid>\d+)\)")


class CommitUnknown(Exception):
    """The engine failed in the commit itself."""


@contextlib.contextmanager
def connected(path: Path, patience: Patience, *, read_only: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the file, and close it when the body is done.

    Args:
        path: The file; created with its parents unless `read_only`.
        patience: How long to wait for its lock.
        read_only: Open for reading only.

    Raises:
        WarehouseLocked: Another process held it all the time, or another thread changed the same rows.
        PublishError: It cannot be opened.
    """
    connection = _wait_for(path, patience, read_only=read_only)
    try:
        yield connection
    except duckdb.TransactionException as error:
        if CONFLICT not in str(error):
            raise
        raise WarehouseLocked(str(path), holder="another transaction of this process", waited_s=0) from error
    finally:
        connection.close()


@contextlib.contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Commit what the body did, or none of it.

    Raises:
        CommitUnknown: The engine failed to commit; only the file will tell whether it did.
    """
    connection.begin()
    try:
        yield
    except BaseException:
        with contextlib.suppress(duckdb.Error):
            connection.rollback()
        raise
    try:
        connection.commit()
    except duckdb.Error as error:
        if CONFLICT in str(error):
            raise
        raise CommitUnknown(first_line(error)) from error


def _wait_for(path: Path, patience: Patience, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    waited_s, refused = 0.0, duckdb.Error()
    for _, waited_s in patience.attempts(f"the lock of warehouse {path}"):  # noqa: B007 - told after the loop
        try:
            return _connect(path, read_only=read_only)
        except duckdb.Error as error:
            if not _is_lock(error) and not _is_being_made(path, error):
                raise PublishError(_unusable(path, first_line(error))) from error
            refused = error
    raise WarehouseLocked(str(path), holder=_holder(refused), waited_s=waited_s) from refused


def _connect(path: Path, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    try:
        if not read_only:
            path.parent.mkdir(parents=True, exist_ok=True)
        connection = duckdb.connect(str(path), read_only=read_only, config=CONFIG)
        # Whatever the machine's zone; and a long query must not draw on our standard output.
        connection.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
        return connection
    except OSError as error:
        raise PublishError(_unusable(path, error.strerror or str(error))) from error


def _unusable(path: Path, reason: str) -> str:
    return (
        f"warehouse {path} cannot be opened: {reason}. Nothing was published. "
        "Check that LOCKSTEP_WAREHOUSE names a DuckDB file (or one that may be created) in a folder you may write to."
    )


def _is_lock(error: duckdb.Error) -> bool:
    text = str(error)
    return "Could not set lock on file" in text or "different configuration than existing connections" in text


def _is_being_made(path: Path, error: duckdb.Error) -> bool:
    """Whether another process has just created the file and has not written its header yet."""
    if "not a valid DuckDB database file" not in str(error):
        return False
    with contextlib.suppress(OSError):
        found = path.stat()
        return found.st_size < HEADER_BYTES and time.time() - found.st_mtime < MAKING_S
    return True


def _holder(error: duckdb.Error) -> str:
    found = HOLDER.search(str(error))
    return f"process {found['pid']} ({found['program']})" if found else "another process"


def first_line(error: duckdb.Error) -> str:
    """Return the first line of an error of the engine, without its full stop."""
    return str(error).strip().partition("\n")[0].rstrip(".")
