"""The tables of an online store in SQLite, and what happens to them in one transaction."""

import datetime as dt
import sqlite3
from dataclasses import replace

from lockstep.publish.online.contract import GIVEN_UP, Fence, LoadedPartition, Outcome, PartitionLoad, decide
from lockstep.publish.patience import Patience

FORMAT = 1
TABLES = """
CREATE TABLE IF NOT EXISTS partitions (
  table_name TEXT, partition_date TEXT, token INTEGER, run_key TEXT, warehouse TEXT, load_id INTEGER, facts TEXT,
  PRIMARY KEY (table_name, partition_date)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS loads (load_id INTEGER PRIMARY KEY AUTOINCREMENT, touched_at REAL);
CREATE TABLE IF NOT EXISTS prediction_rows (
  load_id INTEGER, key BLOB, content BLOB, PRIMARY KEY (load_id, key)
) WITHOUT ROWID;
"""
OVER = 0.0  # when a load was last touched that nobody needs any more
UNUSED = "load_id NOT IN (SELECT load_id FROM partitions WHERE load_id IS NOT NULL)"


def loaded_partitions(connection: sqlite3.Connection, table: str) -> list[LoadedPartition]:
    """Return what there is of a table, the newest partition first."""
    query = "SELECT facts FROM partitions WHERE table_name = ? AND load_id IS NOT NULL ORDER BY partition_date DESC"
    return [LoadedPartition.model_validate_json(facts) for (facts,) in connection.execute(query, [table])]


def make_ready(connection: sqlite3.Connection, patience: Patience) -> None:
    """Make the tables where there are none; one process at a time can turn the log of a new file on."""
    refused = sqlite3.OperationalError("it is locked")
    for _ in patience.attempts("the online store, which others are making"):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version == 0:
                connection.executescript(f"BEGIN IMMEDIATE; {TABLES} PRAGMA user_version = {FORMAT}; COMMIT")
            elif version != FORMAT:
                raise sqlite3.DatabaseError(f"its format is {version}; this version of Lockstep knows {FORMAT}")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
                raise
            refused = error
    raise refused


def settled(connection: sqlite3.Connection, load: PartitionLoad) -> Outcome | None:
    """Do what can be done without writing a row; none: the rows have to be loaded."""
    there = loaded_partitions(connection, load.table)
    same = next((one for one in there if one.partition == load.partition), None)
    newer = sum(one.partition > load.partition for one in there)
    todo = decide(load, same, _anyfence_of(connection, load), newer=newer)
    if todo == "renew" and same is not None:
        renewed = same.model_copy(update={"token": load.token})
        put(connection, load.table, load.partition, fence=load.fence, loaded=renewed)
    if todo == "load":
        return None
    return "unchanged" if todo == "renew" else todo


def _anyfence_of(connection: sqlite3.Connection, load: PartitionLoad) -> Fence | None:
    """Return the fence of the partition; where it has none, that of another, of which only the warehouse counts."""
    own = fence_of(connection, load.table, load.partition)
    if own is not None:
        return own
    query = "SELECT warehouse FROM partitions WHERE table_name = ? LIMIT 1"
    found = connection.execute(query, [load.table]).fetchone()
    return replace(load.fence, warehouse=found[0]) if found else None


def fence_of(connection: sqlite3.Connection, table: str, partition: dt.date) -> Fence | None:
    """Return the fence of a partition, if it ever was loaded."""
    query = "SELECT token, run_key, warehouse FROM partitions WHERE table_name = ? AND partition_date = ?"
    found = connection.execute(query, [table, partition.isoformat()]).fetchone()
    return Fence(*found) if found else None


def point(connection: sqlite3.Connection, load: PartitionLoad, load_id: int) -> None:
    """Make the rows of a load the partition."""
    if not connection.execute("SELECT 1 FROM loads WHERE load_id = ?", [load_id]).fetchone():
        raise sqlite3.OperationalError(GIVEN_UP)
    forget(connection, load.table, [load.partition])
    before = fence_of(connection, load.table, load.partition)
    newest = load.fence if before is None or before.token <= load.token else before
    put(connection, load.table, load.partition, fence=newest, loaded=load.as_loaded(str(load_id)))


def put(
    connection: sqlite3.Connection, table: str, partition: dt.date, *, fence: Fence, loaded: LoadedPartition | None
) -> None:
    """Write what is loaded of a partition, or that nothing is, and its fence."""
    row = [table, partition.isoformat(), fence.token, fence.run_key, fence.warehouse]
    own = [None, None] if loaded is None else [int(loaded.load), loaded.model_dump_json()]
    connection.execute("INSERT OR REPLACE INTO partitions VALUES (?, ?, ?, ?, ?, ?, ?)", [*row, *own])


def trim(connection: sqlite3.Connection, table: str, keep_days: int) -> int:
    """Let go of all but the newest partitions; return how many were let go."""
    there = loaded_partitions(connection, table)
    return forget(connection, table, [one.partition for one in there[keep_days:]])


def forget(connection: sqlite3.Connection, table: str, partitions: list[dt.date]) -> int:
    """Let go of the rows of partitions, whose fences stay; return how many had any."""
    had = 0
    for day in partitions:
        where = "WHERE table_name = ? AND partition_date = ? AND load_id IS NOT NULL"
        place = [table, day.isoformat()]
        load = f"(SELECT load_id FROM partitions {where})"  # noqa: S608
        connection.execute(f"UPDATE loads SET touched_at = ? WHERE load_id = {load}", [OVER, *place])  # noqa: S608
        had += connection.execute(f"UPDATE partitions SET load_id = NULL, facts = NULL {where}", place).rowcount  # noqa: S608
    return had
