"""Shadows score what was answered, are compared with it to the row, and never keep an answer waiting."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lockstep.serving.inference_log.hand_over import is_picked
from lockstep.specs.routing_spec import Routing
from tests.unit.serving.routing.asking import arm_of
from tests.unit.serving.routing.trials import (
    CHALLENGER,
    CHAMPION,
    OTHER,
    WIDER,
    Registry,
    Routed,
    canary,
    flights,
    routed,
    scores_of,
)
from tests.unit.serving.toy import ROW, ToyBackend

ROWS, DIFFERENCE = "lockstep_shadow_rows", "lockstep_shadow_difference"
Make = Callable[..., Routed]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def made(**wanted: Any) -> Routed:
        return routed(tmp_path, **wanted)

    return made


def test_shadows_are_compared_exactly(make: Make) -> None:
    registry = Registry(aliases={"champion": CHAMPION, "deep": CHALLENGER, "wide": OTHER}, shifts={CHALLENGER: 0.004})
    registry.inputs[OTHER] = WIDER  # it has to decode by itself
    registry.backends[OTHER] = Half()
    endpoint = make(registry=registry, routing=Routing(shadows=("deep", "wide"), tolerance=0.25))
    rows = flights(range(50))
    odd = [row for number, row in enumerate(rows) if number % 2]

    async def run() -> None:
        answers = [await endpoint.ask(rows), await endpoint.ask(odd)]
        assert [arm_of(answer)[0] for answer in answers] == ["champion"] * 2
        assert endpoint.arms.shadowing is not None
        await endpoint.arms.shadowing.settle()

    asyncio.run(run())
    ours = np.concatenate([scores_of(registry, CHAMPION, each) for each in (rows, odd)])
    flight = np.array([row["flight"] for row in [*rows, *odd]])
    apart = np.abs(np.where(flight % 5 == 0, np.nan, ours * 0.5) - ours)
    scored = apart[~np.isnan(apart)]
    deep, wide = ("toy", "4", "shadow_deep", "champion"), ("toy", "5", "shadow_wide", "champion")
    assert endpoint.counted(ROWS) == {
        (*deep, "agreed"): 75,
        (*wide, "agreed"): int((scored <= 0.25).sum()),
        (*wide, "differed"): int((scored > 0.25).sum()),
        (*wide, "unscorable"): int(np.isnan(apart).sum()),
    }
    counts, total = endpoint.counted(DIFFERENCE)[wide]
    assert (sum(counts), total) == (len(scored), pytest.approx(scored.sum()))
    assert endpoint.counted(DIFFERENCE)[deep][1] == pytest.approx(75 * 0.004)
    heard = {scored.shares[0].work.label.arm for scored in registry.heard}  # type: ignore[attr-defined]
    assert heard == {"champion", "shadow_deep", "shadow_wide"}


class Half(ToyBackend):
    """Half of the toy's score; none where the flight's number is a multiple of five."""

    def run(self, arrays: Any) -> Any:
        (found,) = super().run(arrays)
        return (np.where(arrays[1][:, 4] % 5 == 0, np.nan, found * 0.5),)


def test_shadows_score_what_a_challenger_answered_too(make: Make) -> None:
    registry = Registry(aliases={"champion": CHAMPION, "challenger": CHALLENGER, "deep": OTHER})
    endpoint = make(registry=registry, routing=canary(1.0, shadows=("deep",), tolerance=0.25))

    async def run() -> None:
        assert arm_of(await endpoint.ask([ROW] * 3))[0] == "challenger"
        assert endpoint.arms.shadowing is not None
        await endpoint.arms.shadowing.settle()

    asyncio.run(run())
    assert endpoint.counted(ROWS) == {("toy", "5", "shadow_deep", "challenger", "agreed"): 3}


def test_what_shadows_cannot_take_is_dropped_and_counted(make: Make) -> None:
    endpoint = make(
        registry=Registry(aliases={"champion": CHAMPION, "deep": CHALLENGER}),
        routing=Routing(shadows=("deep",), waiting_rows=10),
    )

    async def run() -> None:
        await asyncio.gather(*(endpoint.ask([ROW] * 4) for _ in range(5)))
        await endpoint.ask([ROW] * 11)
        assert endpoint.arms.shadowing is not None
        await endpoint.arms.shadowing.settle()

    asyncio.run(run())
    counted = endpoint.counted(ROWS)
    who = ("toy", "4", "shadow_deep", "champion")
    assert counted[*who, "differed"] + counted[*who, "dropped"] == 31
    assert counted[*who, "dropped"] >= 11
    assert counted[*who, "differed"] % 4 == 0


def test_a_sample_of_requests_is_the_same_for_all(make: Make) -> None:
    endpoint = make(
        registry=Registry(aliases={"champion": CHAMPION, "deep": CHALLENGER}),
        routing=Routing(shadows=("deep",), sample=0.3),
    )
    names = [f"r{number}" for number in range(40)]

    async def run() -> None:
        for name in names:
            await endpoint.ask([ROW], x_request_id=name)
        assert endpoint.arms.shadowing is not None
        await endpoint.arms.shadowing.settle()

    asyncio.run(run())
    assert sum(endpoint.counted(ROWS).values()) == sum(is_picked(name, 0.3) for name in names) > 0


def test_a_stop_waits_for_shadows_within_its_grace(make: Make) -> None:
    registry = Registry(aliases={"champion": CHAMPION, "deep": CHALLENGER})
    registry.backends[CHALLENGER] = Slow()
    endpoint = make(registry=registry, routing=Routing(shadows=("deep",)))

    async def run() -> None:
        await endpoint.ask([ROW] * 3)
        await endpoint.app.drain(grace_s=30)
        assert sum(endpoint.counted(ROWS).values()) == 3
        endpoint.plane.stopping = False
        await endpoint.ask([ROW] * 3)
        await endpoint.app.drain(grace_s=0)
        assert sum(endpoint.counted(ROWS).values()) == 3

    asyncio.run(run())


class Slow(ToyBackend):
    """Scores as the toy does, a quarter of a second later."""

    def run(self, arrays: Any) -> Any:
        time.sleep(0.25)
        return super().run(arrays)
