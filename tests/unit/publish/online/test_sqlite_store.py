import asyncio
import itertools
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings

from lockstep.publish.online.contract import ABANDONED_S, OnlineShape
from lockstep.publish.online.errors import OnlineRowsUnfit, OnlineStoreUnavailable, OtherWarehouse
from lockstep.publish.online.sqlite_store import SqliteStore
from lockstep.serving.features.lookup import LookupRequest
from lockstep.serving.features.sqlite_reader import SqliteReader
from tests.unit.publish.online.loads import DAY, TABLE, day, load, run_rows
from tests.unit.publish.online.promises import Step, check_sequence, look, steps

NUMBERS = itertools.count()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    made = SqliteStore(tmp_path / "folder" / "online.db", wait_s=5)
    yield made
    made.close()


@pytest.fixture
def reader(store: SqliteStore) -> SqliteReader:
    return SqliteReader(store.path)


def count(store: SqliteStore, table: str) -> int:
    connection = sqlite3.connect(store.path)
    (rows,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    connection.close()
    return int(rows)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sequence=steps())
def test_an_older_run_never_replaces_a_newer_one(store: SqliteStore, sequence: list[Step]) -> None:
    async def check() -> None:
        reader = SqliteReader(store.path)
        try:
            await check_sequence(store, reader, f"table_{next(NUMBERS)}", sequence)
        finally:
            await reader.aclose()

    asyncio.run(check())


def test_what_nobody_needs_is_deleted(store: SqliteStore) -> None:
    for token, run in enumerate("abcabc", start=1):
        assert store.put_partition(load(run, token)) == "loaded"
    assert (count(store, "prediction_rows"), count(store, "loads")) == (6, 1)
    assert store.drop_table(TABLE) == 1
    assert (count(store, "prediction_rows"), count(store, "loads"), count(store, "partitions")) == (0, 0, 0)
    assert store.drop_table(TABLE) == 0


def test_a_load_that_died_is_swept_when_it_is_given_up_and_not_before(store: SqliteStore) -> None:
    class Died(Exception):
        pass

    class Dying:
        def __getattr__(self, name: str) -> Any:
            return getattr(load("a", 1).content, name)

        def chunks(self, rows: int) -> Iterator[list[tuple[bytes, bytes]]]:
            yield [(b"1:0", b"")]
            raise Died

    now = [1_000_000.0]
    dying = SqliteStore(store.path, wait_s=5, clock=lambda: now[0])
    dying.put_partition(load("z", 1, table="another"))
    # As `kill -9` leaves it: nothing is cleaned up.
    object.__setattr__(dying, "_sweep", lambda own=None: None)
    with pytest.raises(Died):
        dying.put_partition(load("a", 1, content=Dying()))
    dying.close()
    assert count(store, "loads") == 2
    later = SqliteStore(store.path, wait_s=5, clock=lambda: now[0] + ABANDONED_S - 1)
    later.put_partition(load("b", 2))
    assert count(store, "loads") == 3
    later = SqliteStore(store.path, wait_s=5, clock=lambda: now[0] + ABANDONED_S + 1)
    later.put_partition(load("c", 3))
    assert (count(store, "loads"), count(store, "prediction_rows")) == (2, 12)


def test_a_load_that_was_given_up_does_not_become_the_partition(store: SqliteStore) -> None:
    """It was stopped for hours after its last row, and another one swept its rows away."""

    class Slow:
        def __init__(self) -> None:
            self.content = load("a", 1).content

        def __getattr__(self, name: str) -> Any:
            return getattr(self.content, name)

        def chunks(self, rows: int) -> Iterator[list[tuple[bytes, bytes]]]:
            yield from self.content.chunks(rows)
            other = SqliteStore(store.path, wait_s=5, clock=lambda: 9e9)
            other.put_partition(load("x", 1, table="another"))
            other.close()

    for _ in range(2):
        with pytest.raises(OnlineStoreUnavailable, match="given up"):
            store.put_partition(load("a", 1, content=Slow()))
        assert store.loaded(TABLE) == []


@pytest.mark.parametrize("keys", [[1, 2, 1], [None, 2, None]])
def test_rows_that_share_a_key_are_refused_and_change_nothing(store: SqliteStore, keys: list[int]) -> None:
    store.put_partition(load("a", 1))
    twice = run_rows("b", rows=3).set_column(0, "id", pa.array(keys, pa.int64()))
    for _ in range(2):
        with pytest.raises(OnlineRowsUnfit, match="several of its rows have the same id"):
            store.put_partition(load("b", 2, rows=twice))
    assert [one.run_key for one in store.loaded(TABLE)] == ["a"]
    assert count(store, "prediction_rows") == 6


def test_another_shape_is_loaded_anew_and_the_same_is_not(store: SqliteStore, reader: SqliteReader) -> None:
    wide = OnlineShape(key=("id",), columns=("depot", "risk"))
    outcomes = [store.put_partition(load("a", 1, **shape)) for shape in ({}, {}, {"shape": wide}, {"shape": wide})]
    assert outcomes == ["loaded", "unchanged", "loaded", "unchanged"]
    found = look(reader, LookupRequest(TABLE, {"id": [1]}))
    assert found.predictions.to_pylist() == [{"depot": "S", "risk": 0.125}]


def test_a_table_of_another_warehouse_is_not_mixed_with_this_one(store: SqliteStore) -> None:
    store.put_partition(load("a", 7))
    for partition in (DAY, day(1)):
        with pytest.raises(OtherWarehouse, match=r"that of warehouse warehouse\.duckdb, and this one is in other"):
            store.put_partition(load("b", 8, partition=partition, warehouse="other"))
    store.drop_table(TABLE)
    assert store.put_partition(load("b", 1, warehouse="other")) == "loaded"


def test_what_cannot_be_opened_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "text.db").write_text("no database, " * 1_000)
    for path in (tmp_path / "file" / "online.db", tmp_path / "text.db"):
        store = SqliteStore(path, wait_s=1)
        for _ in range(2):
            with pytest.raises(OnlineStoreUnavailable, match="cannot be used"):
                store.put_partition(load("a", 1))


def test_a_store_of_a_later_version_is_left_alone(store: SqliteStore) -> None:
    store.put_partition(load("a", 1))
    connection = sqlite3.connect(store.path)
    connection.execute("PRAGMA user_version = 9")
    connection.close()
    with pytest.raises(OnlineStoreUnavailable, match="its format is 9"):
        SqliteStore(store.path, wait_s=1).put_partition(load("b", 2))


def test_looking_creates_nothing(store: SqliteStore, reader: SqliteReader) -> None:
    assert store.loaded(TABLE) == []
    assert (store.trim(TABLE, 1), store.drop_table(TABLE)) == (0, 0)
    found = look(reader, LookupRequest(TABLE, {"id": [1]}))
    assert (found.states, found.predictions.num_columns) == (("missing",), 0)
    assert not store.path.parent.exists()


def test_a_writer_that_is_held_up_waits_and_then_says_so(store: SqliteStore) -> None:
    store.put_partition(load("a", 1))
    holder = sqlite3.connect(store.path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    impatient = SqliteStore(store.path, wait_s=0.1)
    with pytest.raises(OnlineStoreUnavailable, match="locked"):
        impatient.put_partition(load("b", 2))
    assert [one.run_key for one in impatient.loaded(TABLE)] == ["a"]
    holder.execute("ROLLBACK")
    holder.close()
    assert impatient.put_partition(load("b", 2)) == "loaded"
    impatient.close()
