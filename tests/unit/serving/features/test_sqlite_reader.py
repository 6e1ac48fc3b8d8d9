import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from lockstep.publish.online.sqlite_store import SqliteStore
from lockstep.serving.features.errors import LookupUnavailable
from lockstep.serving.features.lookup import Lookup, LookupRequest
from lockstep.serving.features.sqlite_reader import SqliteReader
from tests.unit.publish.online.loads import TABLE, day, load, run_rows


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    made = SqliteStore(tmp_path / "online.db", wait_s=5)
    yield made
    made.close()


def runs(found: Lookup) -> list[str | None]:
    return [one.run_key if one else None for one in found.provenance]


@pytest.mark.parametrize("moment", ["BEGIN", "PRAGMA data_version", "SELECT facts", "SELECT key", "COMMIT"])
def test_a_lookup_is_of_one_moment_whenever_a_load_comes_between(store: SqliteStore, moment: str) -> None:
    """The new run has other keys, and the old one's rows are deleted at once."""
    store.put_partition(load("a", 1))
    reader, asked = SqliteReader(store.path), LookupRequest(TABLE, {"id": [0, 1, 7]})
    came = []

    def disturb(statement: str) -> None:
        if statement.startswith(moment) and not came:
            came.append(statement)
            store.put_partition(load("b", 2, rows=run_rows("b", first=1, rows=8)))

    async def check() -> None:
        if moment != "SELECT facts":
            await reader.lookup(asked, timeout_s=1)
        connection = reader._few._connected()
        assert connection is not None
        connection.set_trace_callback(disturb)
        found = await reader.lookup(asked, timeout_s=1)
        assert came
        assert runs(found) in (["a", "a", None], [None, "b", "b"])
        assert runs(await reader.lookup(asked, timeout_s=1)) == [None, "b", "b"]
        await reader.aclose()

    asyncio.run(check())


def test_a_damaged_file_is_one_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "online.db"
    path.write_text("no database, " * 1_000)

    async def check() -> None:
        reader = SqliteReader(path)
        for _ in range(2):
            with pytest.raises(LookupUnavailable, match=r"cannot be looked up in sqlite:///.*online\.db"):
                await reader.lookup(LookupRequest(TABLE, {"id": [0]}), timeout_s=1)
        await reader.aclose()

    asyncio.run(check())


def test_lookups_of_many_keys_and_of_few_run_beside_each_other(store: SqliteStore) -> None:
    store.put_partition(load("a", 1, rows=run_rows("a", rows=5_000)))

    async def check() -> None:
        reader = SqliteReader(store.path)
        many = [reader.lookup(LookupRequest(TABLE, {"id": list(range(5_000))}), timeout_s=10) for _ in range(3)]
        few = [reader.lookup(LookupRequest(TABLE, {"id": [n]}), timeout_s=10) for n in range(50)]
        found = await asyncio.gather(*many, *few)
        assert all(one.found.all() for one in found)
        await reader.aclose()

    asyncio.run(check())


def test_the_days_that_are_known_are_those_of_now(store: SqliteStore) -> None:
    async def check() -> None:
        reader = SqliteReader(store.path)
        for number in range(3):
            store.put_partition(load(f"r{number}", 1, partition=day(number), keep_days=2))
            found = await reader.lookup(LookupRequest(TABLE, {"id": [0]}, as_of=day(0)), timeout_s=1)
            assert runs(found) == ([None] if number == 2 else ["r0"])
        await reader.aclose()

    asyncio.run(check())
