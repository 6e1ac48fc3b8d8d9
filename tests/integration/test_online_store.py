"""Every online store against the same promises, with readers and writers in processes of their own."""

import asyncio
import itertools
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from lockstep.publish.online.contract import OnlineStore
from lockstep.publish.online.errors import NewerOnline, OnlineRowsUnfit
from lockstep.publish.online.stores import open_online_store
from lockstep.serving.features.lookup import LookupRequest
from lockstep.serving.features.readers import open_reader
from tests.integration.line_child import ROOT
from tests.integration.online_child import ASKED, ROWS
from tests.integration.online_leftovers import leftovers
from tests.integration.redis_server import RedisServer, needs_redis, redis_running
from tests.unit.publish.online.loads import TABLE, day, fence, load, run_rows
from tests.unit.publish.online.promises import Step, check_sequence, look, steps

NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_running(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("redis", marks=needs_redis)])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty store of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'online.db'}"
        return
    from redis import Redis

    found = request.getfixturevalue("redis").location
    with closing(Redis.from_url(found)) as client:
        client.flushall()
    yield found


@pytest.fixture
def store(location: str) -> Iterator[OnlineStore]:
    with closing(open_online_store(location, wait_s=10)) as made:
        yield made


def child(*args: Any) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.integration.online_child", *map(str, args)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process: "subprocess.Popen[str]") -> str:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sequence=steps())
def test_an_older_run_never_replaces_a_newer_one(location: str, store: OnlineStore, sequence: list[Step]) -> None:
    async def check() -> None:
        reader = open_reader(location)
        try:
            await check_sequence(store, reader, f"table_{next(NUMBERS)}", sequence)
        finally:
            await reader.aclose()

    asyncio.run(check())


@pytest.mark.slow
def test_readers_see_whole_partitions_while_others_are_loaded(location: str, store: OnlineStore) -> None:
    store.put_partition(load("run1", 1, rows=run_rows("run1", rows=ROWS, score=1)))
    readers = [child("read", location, 8) for _ in range(2)]
    writer = child("write", location, 8)
    told = [json.loads(ended(reader)) for reader in readers]
    assert ended(writer).split() == ["begun", "done"]
    for one in told:
        assert one["wrong"] == []
        assert one["lookups"] > 100
        assert len(one["seen"]) > 1
        tokens = [int(run.removeprefix("run")) for run in one["seen"]]
        assert tokens == sorted(tokens), "an older run was seen after a newer one"
    assert leftovers(location, store) == 0


@pytest.mark.slow
def test_a_writer_that_is_killed_leaves_what_was_there(location: str, store: OnlineStore) -> None:
    moments = random.Random(7)
    for _ in range(4):
        writer = child("write", location, 1_000)
        assert writer.stdout is not None
        assert writer.stdout.readline() == "begun\n"
        time.sleep(moments.uniform(0, 0.8))
        writer.send_signal(signal.SIGKILL)
        writer.communicate(timeout=30)
        found = look(open_reader(location), LookupRequest(TABLE, {"id": ASKED}))
        assert len({one.run_key if one else "nothing" for one in found.provenance}) == 1
        assert found.found.all()
    newest = store.loaded(TABLE)[0]
    assert store.put_partition(load("last", newest.token + 1, partition=newest.partition)) == "loaded"
    found = look(open_reader(location), LookupRequest(TABLE, {"id": [0, 5]}))
    assert [one.run_key for one in found.provenance if one] == ["last", "last"]


def test_many_writers_of_one_partition_leave_the_newest(location: str) -> None:
    def put(token: int) -> str:
        with closing(open_online_store(location, wait_s=60)) as own:
            try:
                return own.put_partition(load(f"run{token}", token, rows=run_rows(f"run{token}", rows=2_000)))
            except NewerOnline:
                return "refused"

    with ThreadPoolExecutor(6) as pool:
        outcomes = list(pool.map(put, [1, 2, 3, 4, 5, 6] * 2))
    assert set(outcomes) <= {"loaded", "refused", "unchanged"}
    with closing(open_online_store(location, wait_s=5)) as store:
        assert [(one.run_key, one.token) for one in store.loaded(TABLE)] == [("run6", 6)]
        assert leftovers(location, store) == 0


def test_one_run_that_is_loaded_by_several_at_once_is_there_once(location: str) -> None:
    def put(_: int) -> str:
        with closing(open_online_store(location, wait_s=60)) as own:
            return own.put_partition(load("a", 1, rows=run_rows("a", rows=2_000)))

    with ThreadPoolExecutor(4) as pool:
        outcomes = sorted(pool.map(put, range(8)))
    assert outcomes == ["loaded", *["unchanged"] * 7]
    with closing(open_online_store(location, wait_s=5)) as store:
        assert leftovers(location, store) == 0


def test_days_are_kept_as_asked_and_the_newest_that_has_the_key_answers(location: str, store: OnlineStore) -> None:
    for number in range(4):
        rows = run_rows(f"r{number}", rows=10 - 2 * number, version=number, score=number)
        for _ in range(2):
            store.put_partition(load(f"r{number}", 1, partition=day(number), rows=rows, keep_days=3))
    assert [one.partition for one in store.loaded(TABLE)] == [day(3), day(2), day(1)]
    found = look(open_reader(location), LookupRequest(TABLE, {"id": [0, 5, 7, 9]}))
    assert [one and one.as_of for one in found.provenance] == [day(3), day(2), day(1), None]
    assert [one and one.model_version for one in found.provenance] == [3, 2, 1, None]
    assert found.states == ("found", "found", "found", "missing")
    assert found.predictions.column("risk").to_pylist() == [3.0, 2 + 5 / 8, 1 + 7 / 8, None]
    then = look(open_reader(location), LookupRequest(TABLE, {"id": [0, 5]}, as_of=day(2)))
    assert [one and one.as_of for one in then.provenance] == [day(2), day(2)]
    assert look(open_reader(location), LookupRequest(TABLE, {"id": [0]}, as_of=day(0))).states == ("missing",)


def test_a_refused_load_changes_nothing_twice(location: str, store: OnlineStore) -> None:
    store.put_partition(load("new", 5))
    for _ in range(2):
        with pytest.raises(NewerOnline):
            store.put_partition(load("old", 4))
        twice = run_rows("twice", rows=3).set_column(0, "id", [[1, 1, 2]])
        with pytest.raises(OnlineRowsUnfit):
            store.put_partition(load("twice", 6, rows=twice))
    assert [one.run_key for one in store.loaded(TABLE)] == ["new"]
    assert leftovers(location, store) == 0


def test_dropping_a_day_uncovers_the_one_before(location: str, store: OnlineStore) -> None:
    for number in range(2):
        store.put_partition(load(f"r{number}", 1, partition=day(number), keep_days=2))
    dropped = [store.drop_partition(TABLE, day(1), fence("other", 2)) for _ in range(2)]
    assert dropped == [True, False]
    found = look(open_reader(location), LookupRequest(TABLE, {"id": [0]}))
    assert [one and one.run_key for one in found.provenance] == ["r0"]
    assert store.trim(TABLE, 0) == 1
    assert store.drop_table(TABLE) == 0
    assert leftovers(location, store) == 0


@pytest.mark.parametrize("rows", [1, 33, 2_000])
def test_few_keys_and_many_are_answered_alike(location: str, store: OnlineStore, rows: int) -> None:
    store.put_partition(load("a", 1, rows=run_rows("a", rows=1_000)))
    found = look(open_reader(location), LookupRequest(TABLE, {"id": list(range(rows))}))
    assert found.found.tolist() == [number < 1_000 for number in range(rows)]
    expected = [number / 8 if number < 1_000 else None for number in range(rows)]
    assert found.predictions.column("risk").to_pylist() == expected


def test_a_reader_that_was_there_first_sees_what_comes(location: str) -> None:
    async def check() -> None:
        reader, request = open_reader(location), LookupRequest(TABLE, {"id": [3]})
        assert (await reader.lookup(request, timeout_s=5)).states == ("missing",)
        with closing(open_online_store(location, wait_s=5)) as store:
            for token, run in enumerate("abc", start=1):
                store.put_partition(load(run, token))
                (one,) = (await reader.lookup(request, timeout_s=5)).provenance
                assert one is not None
                assert one.run_key == run
            store.drop_table(TABLE)
        assert (await reader.lookup(request, timeout_s=5)).states == ("missing",)
        await reader.aclose()

    asyncio.run(check())


def test_a_file_that_is_replaced_is_opened_anew(tmp_path: Path) -> None:
    async def check() -> None:
        path = tmp_path / "online.db"
        where, request = f"sqlite:///{path}", LookupRequest(TABLE, {"id": [3]})
        reader = open_reader(where)
        for run in ("a", "b"):
            with closing(open_online_store(where, wait_s=5)) as store:
                store.put_partition(load(run, 1))
            await asyncio.sleep(1.1)
            (one,) = (await reader.lookup(request, timeout_s=5)).provenance
            assert one is not None
            assert one.run_key == run
            for part in tmp_path.glob("online.db*"):
                part.unlink()
        await reader.aclose()

    asyncio.run(check())
