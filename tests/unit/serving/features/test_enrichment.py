import asyncio
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from lockstep.serving.features.deadlines import shared_deadline, within
from lockstep.serving.features.enrichment import BoundSource, enrich
from lockstep.serving.features.errors import FeatureSourceInvalid, FeatureSourceUnavailable
from lockstep.serving.features.memory_source import MemorySource
from lockstep.serving.features.policy import Enrichment
from lockstep.serving.features.source import Fetched, Keys
from lockstep.specs.features_spec import FeaturePolicy

NOW = dt.datetime(2024, 3, 5, 12, tzinfo=dt.UTC)
LATE = FeaturePolicy(feature="late_share", max_age_s=3_600, stale="default", default=0.5)
REGION = FeaturePolicy(feature="region", missing="null")


def depots() -> MemorySource:
    source = MemorySource("depots", ("depot",), ("late_share", "region"))
    source.put(("N",), {"late_share": 0.25, "region": "north"}, event_time=NOW - dt.timedelta(minutes=5))
    source.put(("S",), {"late_share": 0.75}, event_time=NOW - dt.timedelta(hours=2))
    return source


def bound(source: Any, **changes: Any) -> BoundSource:
    facts: dict[str, Any] = {"keys": {"depot": "origin"}, "features": {"late": LATE, "region": REGION}}
    return BoundSource(source, **{**facts, **changes})


def run(sources: list[BoundSource], columns: dict[str, list[Any]], *, time_s: float = 5.0) -> Enrichment:
    async def once() -> Enrichment:
        return await enrich(sources, columns, deadline=asyncio.get_running_loop().time() + time_s, now=NOW)

    return asyncio.run(once())


@dataclass
class Recording:
    """Passes on to another source, after a while, and remembers what it was asked."""

    inner: MemorySource
    wait_s: float = 0.0
    asked: list[Keys] = field(default_factory=list)
    name: str = "recording"

    async def get(self, keys: Keys, names: Sequence[str], *, deadline: float) -> Fetched:
        self.asked.append(keys)
        async with within(deadline, self.name):
            await asyncio.sleep(self.wait_s)
        return await self.inner.get(keys, names, deadline=deadline)

    async def aclose(self) -> None: ...


def test_rows_get_features_by_their_key_and_each_key_is_asked_once() -> None:
    source = Recording(depots())
    found = run([bound(source)], {"origin": ["N", "S", "N", None, "X"], "km": [1, 2, 3, 4, 5]})
    assert source.asked == [{"depot": ["N", "S", "X"]}]
    assert found.columns == {
        "late": (0.25, 0.5, 0.25, None, None),
        "region": ("north", None, "north", None, None),
    }
    assert found.features["late"].uses == ("source", "default", "source", "rejected", "rejected")
    assert found.features["late"].states == ("fresh", "stale", "fresh", "missing", "missing")
    assert found.rejected == {3: "feature 'late' is missing", 4: "feature 'late' is missing"}


def test_true_and_one_are_not_the_same_key() -> None:
    source = Recording(MemorySource("m", ("k",), ("f",)))
    features = {"f": FeaturePolicy(feature="f", missing="null")}
    run([bound(source, keys={"k": "k"}, features=features)], {"k": [True, 1, 1.0]})
    assert [list(map(type, keys["k"])) for keys in source.asked] == [[bool, int, float]]


def test_a_source_has_its_share_of_the_time_and_the_others_go_on() -> None:
    slow = Recording(depots(), wait_s=10.0)
    policy = FeaturePolicy(feature="late_share", missing="default", default=0.0)
    sources = [
        bound(slow, features={"slow": policy}, share=0.2),
        bound(depots(), features={"late": LATE}, share=0.2),
    ]
    found = run(sources, {"origin": ["N"]}, time_s=0.5)
    assert found.columns == {"slow": (0.0,), "late": (0.25,)}
    assert found.features["slow"].states == ("unavailable",)
    assert "is over" in found.failures["recording"]
    assert 0.05 < found.seconds["recording"] < 0.4
    assert found.seconds["depots"] < found.seconds["recording"]
    found.raise_if_rejected()


def test_a_request_whose_time_is_over_asks_nobody() -> None:
    source = Recording(depots())
    found = run([bound(source)], {"origin": ["N"]}, time_s=-1.0)
    assert found.failures == {"recording": "no time was left to ask it"}
    with pytest.raises(FeatureSourceUnavailable):
        found.raise_if_rejected()


def test_what_is_configured_wrongly_is_no_fault_of_the_request() -> None:
    for wrong, message in (
        (bound(depots(), keys={"depot": "from"}), "the columns from, which the request does not have"),
        (bound(depots(), keys={"city": "origin"}), "expected the keys depot"),
        (bound(depots(), features={"x": FeaturePolicy(feature="colour")}), "has no feature colour"),
    ):
        with pytest.raises(FeatureSourceInvalid, match=message):
            run([wrong, bound(depots())], {"origin": ["N"]})


def test_no_rows_are_no_features() -> None:
    found = run([bound(depots())], {"origin": []})
    assert (found.rows, found.columns, found.rejected) == (0, {"late": (), "region": ()}, {})


def test_a_share_is_of_the_time_that_is_left() -> None:
    assert shared_deadline(20.0, 0.25, now=12.0) == 14.0
    assert shared_deadline(10.0, 0.25, now=12.0) == 12.0
