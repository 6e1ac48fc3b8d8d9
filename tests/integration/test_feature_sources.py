"""Feature sources over real sockets: Redis' own protocol, and Feast's feature server."""

import asyncio
import datetime as dt
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from typing import Any, TypeVar

import pytest

from lockstep.serving.features.enrichment import BoundSource, enrich
from lockstep.serving.features.errors import FeatureSourceInvalid, FeatureSourceUnavailable
from lockstep.serving.features.feast_source import FeastSource
from lockstep.serving.features.source import FeatureSource, Fetched
from lockstep.specs.features_spec import FeaturePolicy
from tests.integration.feast_server import NAMES, NOW, STORE, FeastLike, feast_command, feast_like, real_feast, url_of
from tests.integration.redis_server import RedisServer, needs_redis, redis_running

T = TypeVar("T")
needs_feast = pytest.mark.skipif(feast_command() is None, reason="LOCKSTEP_FEAST names no feast command")
# For two keys, too few.
ONE_VALUE = (
    b'{"metadata": {"feature_names": ["depots__parcels"]}, "results": [{"values": [1], "statuses": ["PRESENT"], '
    b'"event_timestamps": ["2026-11-22T11:01:21Z"]}]}'
)
FEATURES = [f"depots:{name}" for name in NAMES]


def using(source: FeatureSource, work: Callable[[], Awaitable[T]]) -> T:
    """Do something with a source in an event loop of its own, and close the source."""

    async def once() -> T:
        try:
            return await work()
        finally:
            await source.aclose()

    return asyncio.run(once())


async def get(source: FeatureSource, names: list[str], *, time_s: float = 10.0, **keys: list[Any]) -> Fetched:
    return await source.get(keys, names, deadline=asyncio.get_running_loop().time() + time_s)


@pytest.fixture
def server() -> Iterator[FeastLike]:
    with feast_like() as running:
        yield running


@pytest.fixture(params=["like", pytest.param("real", marks=[needs_feast, pytest.mark.slow])])
def feast(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a feature server is."""
    if request.param == "like":
        with feast_like() as running:
            yield url_of(running)
        return
    with real_feast(tmp_path_factory.mktemp("feast")) as url:
        yield url


def test_feast_gives_values_and_the_times_of_their_events(feast: str) -> None:
    source = FeastSource("depots", feast)

    async def check() -> None:
        found = await get(source, FEATURES, depot_id=[1, 99, 3, 2, 1])
        rows = [STORE.get(depot) for depot in (1, 99, 3, 2, 1)]
        for place, name in enumerate(FEATURES):
            expected = [None if row is None else row[1][place] for row in rows]
            assert list(found.values[name]) == expected, name
            times = [None if row is None or row[1][place] is None else NOW - row[0] for row in rows]
            assert list(found.event_times[name]) == times, name
        nothing = await get(source, FEATURES, depot_id=[])
        assert dict(nothing.values) == dict.fromkeys(FEATURES, ())
        for _ in range(2):
            for names, keys in ((["depots:colour"], {"depot_id": [1]}), (FEATURES, {"depot_id": ["s3cret"]})):
                with pytest.raises(FeatureSourceUnavailable, match="status 500") as caught:
                    await get(source, names, **keys)
                assert "s3cret" not in str(caught.value)

    using(source, check)


def test_what_feast_calls_present_may_be_stale_all_the_same(feast: str) -> None:
    """Its server does not look at the ttl of a view."""
    policy = FeaturePolicy(feature="depots:late_share", max_age_s=86_400, stale="default", missing="null", default=0.5)
    source = FeastSource("depots", feast)
    bound = BoundSource(source, keys={"depot_id": "depot"}, features={"late": policy}, share=1.0)

    async def check() -> None:
        deadline = asyncio.get_running_loop().time() + 10
        found = await enrich([bound], {"depot": [1, 3, 99]}, deadline=deadline, now=NOW)
        assert found.features["late"].states == ("fresh", "stale", "missing")
        assert found.columns == {"late": (0.1, 0.5, None)}

    using(source, check)


def test_one_connection_serves_many_requests(server: FeastLike) -> None:
    source = FeastSource("depots", url_of(server))

    async def check() -> None:
        for _ in range(20):
            await get(source, FEATURES, depot_id=[1])

    using(source, check)
    assert (server.requests, server.connections) == (20, 1)


def test_a_slow_feast_costs_its_share_and_the_next_answer_is_right(server: FeastLike) -> None:
    source = FeastSource("depots", url_of(server))

    async def check() -> None:
        await get(source, FEATURES, depot_id=[1])
        server.wait_s = 0.5
        began = time.monotonic()
        with pytest.raises(FeatureSourceUnavailable, match="its share of the time"):
            await get(source, FEATURES, depot_id=[1], time_s=0.05)
        assert time.monotonic() - began < 0.3
        server.wait_s = 0.0
        found = await get(source, ["depots:parcels"], depot_id=[3, 1])
        assert list(found.values["depots:parcels"]) == [2**40 + 1, 5]

    using(source, check)


@pytest.mark.parametrize(
    ("broken", "kind", "message"),
    [
        ((500, b'"boom s3cret"'), FeatureSourceUnavailable, "status 500"),
        ((503, b""), FeatureSourceUnavailable, "status 503"),
        ((429, b""), FeatureSourceUnavailable, "status 429"),
        ((422, b'{"detail": "s3cret"}'), FeatureSourceInvalid, "status 422"),
        ((404, b"s3cret"), FeatureSourceInvalid, "status 404"),
        ((200, b"s3cret"), FeatureSourceInvalid, "not in the form"),
        ((200, b"{}"), FeatureSourceInvalid, "not in the form"),
        ((200, b"[]"), FeatureSourceInvalid, "not in the form"),
        ((200, b'{"metadata": {"feature_names": ["a"]}, "results": []}'), FeatureSourceInvalid, "not in the form"),
        ((200, ONE_VALUE), FeatureSourceInvalid, "not in the form"),
    ],
)
def test_what_is_no_answer_is_one_error_and_never_quoted(
    server: FeastLike, broken: tuple[int, bytes], kind: type[Exception], message: str
) -> None:
    source = FeastSource("depots", url_of(server))
    server.broken = broken

    async def check() -> None:
        for _ in range(2):
            with pytest.raises(kind, match=message) as caught:
                await get(source, ["depots:parcels"], depot_id=[1, 2])
            assert "s3cret" not in str(caught.value)
        server.broken = None
        found = await get(source, ["depots:parcels"], depot_id=[1, 2])
        assert list(found.values["depots:parcels"]) == [5, None]

    using(source, check)


def test_a_server_that_is_not_there_is_unavailable() -> None:
    with feast_like() as server:
        url = url_of(server)
    source = FeastSource("depots", url)

    async def check() -> None:
        with pytest.raises(FeatureSourceUnavailable):
            await get(source, FEATURES, depot_id=[1])

    using(source, check)


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_running(tmp_path_factory.mktemp("redis")) as server:
        yield server


def hashes(server: RedisServer, rows: dict[str, dict[str, Any]]) -> None:
    from redis import Redis

    with closing(Redis.from_url(server.location)) as client:
        client.flushall()
        for name, fields in rows.items():
            client.hset(name, mapping=fields)


def redis_source(server: RedisServer, **changes: Any) -> Any:
    from lockstep.serving.features.redis_source import RedisSource

    kinds = {"late_share": "double", "parcels": "long", "region": "string", "open": "boolean"}
    facts = {"name": "depots", "location": server.location, "key": "depot:{country}:{depot}", "kinds": kinds}
    return RedisSource(**{**facts, **changes})


@needs_redis
def test_redis_gives_fields_of_hashes_by_their_kind(redis: RedisServer) -> None:
    moment = dt.datetime(2024, 3, 5, 12, tzinfo=dt.UTC)
    good = {"late_share": "0.1", "parcels": str(2**62), "region": "né", "open": "true"}
    bad = {"late_share": "much", "parcels": "1.5", "open": "?"}
    hashes(
        redis,
        {
            "depot:us:1": {**good, "event_timestamp": "1709640000"},
            "depot:us:2": {**bad, "event_timestamp": "2024-03-05T13:00:00+01:00"},
            "depot:us:3": {"late_share": "nan", "event_timestamp": "yesterday"},
        },
    )
    source = redis_source(redis)
    names = ["late_share", "parcels", "region", "open"]

    async def check() -> None:
        found = await get(source, names, country=["us"] * 4, depot=[1, 2, 3, 4])
        assert {name: list(values) for name, values in found.values.items()} == {
            "late_share": [0.1, None, None, None],
            "parcels": [2**62, None, None, None],
            "region": ["né", None, None, None],
            "open": [True, None, None, None],
        }
        assert list(found.event_times["open"]) == [moment, moment, None, None]
        assert {name: sorted(rows) for name, rows in found.invalid.items()} == {
            "late_share": [1, 2],
            "parcels": [1],
            "region": [],
            "open": [1],
        }
        assert dict((await get(source, names, country=[], depot=[])).values) == {name: [] for name in names}

    using(source, check)


@needs_redis
def test_a_key_is_text_in_the_name_of_a_hash_and_nothing_more(redis: RedisServer) -> None:
    hashes(redis, {"depot:us:{country}": {"region": "braces"}, "depot:us:1 2\r\n": {"region": "blanks"}})
    source = redis_source(redis)

    async def check() -> None:
        strange = ["{country}", "1 2\r\n", "{0.__class__}"]
        found = await get(source, ["region"], country=["us"] * 3, depot=strange)
        assert list(found.values["region"]) == ["braces", "blanks", None]

    using(source, check)


@needs_redis
def test_redis_is_asked_only_for_what_is_configured(redis: RedisServer) -> None:
    source = redis_source(redis)

    async def check() -> None:
        with pytest.raises(FeatureSourceInvalid, match="has no feature colour"):
            await get(source, ["colour"], country=["us"], depot=[1])
        with pytest.raises(FeatureSourceInvalid, match="expected the keys country, depot"):
            await get(source, ["region"], depot=[1])

    using(source, check)
    for key in ("depot:1", "depot:{}", "depot:{a.b}"):
        with pytest.raises(FeatureSourceInvalid, match="must have key columns in braces"):
            redis_source(redis, key=key)


@needs_redis
def test_a_slow_redis_costs_its_share_and_the_next_answer_is_right(redis: RedisServer) -> None:
    from redis import Redis

    hashes(redis, {f"depot:us:{n}": {"parcels": str(n)} for n in range(5)})
    source = redis_source(redis)

    async def check() -> None:
        await get(source, ["parcels"], country=["us"], depot=[1])
        with closing(Redis.from_url(redis.location)) as client:
            client.execute_command("CLIENT", "PAUSE", "500", "ALL")
        began = time.monotonic()
        with pytest.raises(FeatureSourceUnavailable, match="its share of the time"):
            await get(source, ["parcels"], country=["us"], depot=[1], time_s=0.05)
        assert time.monotonic() - began < 0.3
        await asyncio.sleep(0.6)
        for number in (2, 3, 4):
            found = await get(source, ["parcels"], country=["us"], depot=[number])
            assert list(found.values["parcels"]) == [number]

    using(source, check)
