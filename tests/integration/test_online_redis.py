"""An online store in Redis: slow, dead, emptied, locked and forgetful servers."""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from lockstep.publish.online.errors import OnlineStoreBehind, OnlineStoreUnavailable
from lockstep.publish.online.stores import open_online_store
from lockstep.run.exit_codes import TEMPORARY, exit_code
from lockstep.serving.features.errors import LookupUnavailable
from lockstep.serving.features.lookup import LookupRequest
from lockstep.serving.features.readers import open_reader
from lockstep.steps.publish import publish
from tests.integration.online_leftovers import leftovers
from tests.integration.redis_server import LosingProxy, RedisServer, needs_redis, redis_running
from tests.unit.publish.online.loads import TABLE, load
from tests.unit.publish.online.promises import look
from tests.unit.steps.runs import make_run, make_settings, pass_audit

pytestmark = needs_redis


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_running(tmp_path_factory.mktemp("redis")) as server:
        yield server


def test_a_slow_server_costs_no_more_than_the_time_that_was_given(redis: RedisServer) -> None:
    from redis import Redis

    async def check() -> None:
        reader, request = open_reader(redis.location), LookupRequest(TABLE, {"id": [3]})
        await reader.lookup(request, timeout_s=5)
        with closing(Redis.from_url(redis.location)) as client:
            client.execute_command("CLIENT", "PAUSE", "600", "ALL")
        began = time.monotonic()
        with pytest.raises(LookupUnavailable, match=r"no answer within 0\.050 s"):
            await reader.lookup(request, timeout_s=0.05)
        assert time.monotonic() - began < 0.3
        await asyncio.sleep(0.7)
        # The answer that came too late is not taken for that of the next lookup.
        for number in (1, 2, 3):
            found = await reader.lookup(LookupRequest(TABLE, {"id": [number]}), timeout_s=5)
            assert found.predictions.column("risk").to_pylist() == [number / 8]
        await reader.aclose()

    with closing(open_online_store(redis.location, wait_s=5)) as store:
        store.drop_table(TABLE)
        store.put_partition(load("a", 1))
    asyncio.run(check())


def test_a_server_that_dies_and_comes_back_is_found_again(tmp_path: Path) -> None:
    async def check(server: RedisServer) -> None:
        reader, request = open_reader(server.location), LookupRequest(TABLE, {"id": [3]})
        assert (await reader.lookup(request, timeout_s=5)).states == ("found",)
        server.kill()
        with pytest.raises(LookupUnavailable):
            await reader.lookup(request, timeout_s=2)
        with pytest.raises(OnlineStoreUnavailable), closing(open_online_store(server.location, wait_s=1)) as store:
            store.put_partition(load("b", 2))
        server.start()
        assert (await reader.lookup(request, timeout_s=5)).states == ("found",)
        await reader.aclose()

    with redis_running(tmp_path / "redis") as server:
        with closing(open_online_store(server.location, wait_s=5)) as store:
            store.put_partition(load("a", 1))
        asyncio.run(check(server))


def test_rows_that_the_server_evicted_are_an_error_and_not_a_hole(redis: RedisServer) -> None:
    from redis import Redis

    with closing(open_online_store(redis.location, wait_s=5)) as store:
        store.drop_table(TABLE)
        store.put_partition(load("a", 1))
    with closing(Redis.from_url(redis.location)) as client:
        for name in client.scan_iter("*:rows:*"):
            client.delete(name)
    with pytest.raises(LookupUnavailable, match="noeviction"):
        look(open_reader(redis.location), LookupRequest(TABLE, {"id": [3]}))


def test_the_password_comes_from_the_environment_and_is_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with redis_running(tmp_path / "redis", password="s3cr3t-word") as server:
        with pytest.raises(OnlineStoreUnavailable) as refused:
            open_online_store(server.location, wait_s=1).put_partition(load("a", 1))
        monkeypatch.setenv("REDISCLI_AUTH", "s3cr3t-word")
        with closing(open_online_store(server.location, wait_s=5)) as store:
            assert store.put_partition(load("a", 1)) == "loaded"
        assert look(open_reader(server.location), LookupRequest(TABLE, {"id": [3]})).states == ("found",)
        monkeypatch.setenv("REDISCLI_AUTH", "wr0ng-word")
        with pytest.raises(LookupUnavailable) as wrong:
            look(open_reader(server.location), LookupRequest(TABLE, {"id": [3]}))
    for error in (refused, wrong):
        assert not any(word in str(error.value) for word in ("s3cr3t-word", "wr0ng-word"))


@pytest.mark.parametrize("times", [1, 2, 50])
@pytest.mark.parametrize(
    ("command", "then"),
    [(b"EXEC", None), (b"EXEC", b"WATCH"), (b"EXEC", b"HGETALL"), (b"HLEN", None), (b"EXPIRE", None)],
)
def test_an_answer_that_is_lost_costs_no_row(
    redis: RedisServer, command: bytes, then: bytes | None, times: int
) -> None:
    """The transaction may have been carried out: its rows are not taken for leftovers."""
    with closing(open_online_store(redis.location, wait_s=5)) as store:
        store.drop_table(TABLE)
        store.put_partition(load("a", 1))
        for token in (2, 3):
            with (
                closing(LosingProxy(redis, command, times=times, then=then)) as proxy,
                closing(open_online_store(proxy.location, wait_s=0.5)) as losing,
            ):
                with contextlib.suppress(OnlineStoreUnavailable):
                    losing.put_partition(load(f"run{token}", token))
                assert proxy.left < times
            found = look(open_reader(redis.location), LookupRequest(TABLE, {"id": [0, 5]}))
            assert found.states == ("found", "found")
            assert store.put_partition(load(f"run{token}", token)) in {"loaded", "unchanged"}
            found = look(open_reader(redis.location), LookupRequest(TABLE, {"id": [0, 5]}))
            assert [one and one.run_key for one in found.provenance] == [f"run{token}"] * 2
        assert leftovers(redis.location, store) == 0


def test_a_publication_outlives_an_outage_and_its_repetition_only_loads(tmp_path: Path) -> None:
    asked = LookupRequest("parcel_scores", {"id": [0, 39]})
    with redis_running(tmp_path / "redis") as server:
        settings = replace(make_settings(tmp_path), online_stores={"default": server.location}, warehouse_wait_s=1.0)
        folder = pass_audit(make_run(tmp_path, online={}, reporting={}))
        server.kill()
        for _ in range(2):
            with pytest.raises(OnlineStoreBehind, match="the same command again") as caught:
                publish(folder, settings)
            assert exit_code(caught.value) == TEMPORARY
        server.start()
        facts = [publish(folder, settings) for _ in range(2)]
        assert [(one["outcome"], one["online"]["outcome"]) for one in facts] == [
            ("noop", "loaded"),
            ("noop", "unchanged"),
        ]
        found = look(open_reader(server.location), asked)
        assert [one and one.run_key for one in found.provenance] == [folder.path.name] * 2
