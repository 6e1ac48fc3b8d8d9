"""Which version answers: the one that the batch would have taken for the row, and never half of one."""

import asyncio
import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lockstep.errors import RequestInvalid
from lockstep.serving.routing.keys import only_key
from lockstep.serving.tensors import DATATYPES
from lockstep.specs.routing_spec import Routing
from tests.unit.serving.routing.asking import arm_of, call, infer, scores
from tests.unit.serving.routing.trials import (
    CHALLENGER,
    CHAMPION,
    JSON,
    WIDER,
    Registry,
    Routed,
    batch_takes,
    canary,
    flights,
    routed,
    scores_of,
    split,
)
from tests.unit.serving.toy import INPUTS, ROW, ToyBackend, acall

UNROUTED = "lockstep_unrouted_requests"
Make = Callable[..., Routed]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def made(**wanted: Any) -> Routed:
        return routed(tmp_path, **wanted)

    return made


def test_the_endpoint_and_the_batch_put_a_row_into_the_same_arm(make: Make) -> None:
    endpoint, rows = make(), flights(range(40))
    expected = [("challenger", CHALLENGER) if taken else ("champion", CHAMPION) for taken in batch_takes(rows)]

    async def run() -> None:
        by_columns = [arm_of(await endpoint.ask([row])) for row in rows]
        by_key = [arm_of(await endpoint.ask([ROW], x_lockstep_key=str(row["flight"]))) for row in rows]
        as_object = [
            arm_of(await endpoint.ask([ROW] * 3, x_lockstep_key=json.dumps({"flight": row["flight"]}))) for row in rows
        ]
        assert by_columns == by_key == as_object == expected
        for row, (arm, version) in zip(rows, expected, strict=True):
            number = str(row["flight"])
            for message, sent in ((infer([row]), ()), (infer([ROW]), (("x-lockstep-key", number),))):
                got, headers, trace = await call(endpoint, message, *sent)
                assert (got, headers["x-lockstep-arm"]) == (str(version), arm)
                assert (trace.arm, trace.version, trace.rows) == (arm, str(version), 1)

    asyncio.run(run())
    assert {arm for arm, _ in expected} == {"challenger", "champion"}
    assert endpoint.counted(UNROUTED) == {}


def test_an_answer_is_the_versions_own_scores(make: Make) -> None:
    endpoint, rows = make(), flights(range(12))

    async def run() -> None:
        for row, taken in zip(rows, batch_takes(rows), strict=True):
            answer = await endpoint.ask([row])
            assert scores(answer) == scores_of(endpoint.registry, CHALLENGER if taken else CHAMPION, [row]).tolist()

    asyncio.run(run())


def test_a_large_body_is_routed_too(make: Make) -> None:
    endpoint = make()
    taken = next(
        row for row, is_taken in zip(flights(range(40)), batch_takes(flights(range(40))), strict=True) if is_taken
    )

    async def run() -> None:
        answer = await endpoint.ask([{**taken, "note": "x" * 2**17}])
        assert arm_of(answer) == ("challenger", CHALLENGER)
        got, _, trace = await call(endpoint, infer([taken], padding=2**17))
        assert (got, trace.arm) == (str(CHALLENGER), "challenger")

    asyncio.run(run())


def test_rows_of_different_arms_are_the_champions(make: Make) -> None:
    endpoint, rows = make(), flights(range(40))
    alike = [row for row, taken in zip(rows, batch_takes(rows), strict=True) if taken]

    async def run() -> None:
        assert arm_of(await endpoint.ask(rows)) == ("champion", CHAMPION)
        assert arm_of(await endpoint.ask(alike)) == ("challenger", CHALLENGER)
        assert arm_of(await endpoint.ask([])) == ("champion", CHAMPION)

    asyncio.run(run())
    assert endpoint.counted(UNROUTED) == {("toy", "mixed"): 1}


def test_without_a_key_the_champion_answers(make: Make) -> None:
    endpoint = make(routing=canary(1.0, by=("tail",)))

    async def run() -> None:
        assert arm_of(await endpoint.ask([ROW])) == ("champion", CHAMPION)
        assert arm_of(await endpoint.ask([ROW], x_lockstep_key="N1")) == ("challenger", CHALLENGER)

    asyncio.run(run())
    assert endpoint.counted(UNROUTED) == {("toy", "no_key"): 1}


@pytest.mark.parametrize("path", ["/invocations", "/endpoints/toy/invocations"])
def test_a_wrong_key_is_400(path: str, make: Make) -> None:
    endpoint = make()
    answer = asyncio.run(endpoint.ask([ROW], path, x_lockstep_key='{"tail": "4711"}'))
    assert answer.status == 400
    assert "x-lockstep-key must be a JSON object of the column 'flight'" in answer.json()["message"]
    assert b"4711" not in answer.body


def test_a_key_that_cannot_be_read_is_400(make: Make) -> None:
    endpoint = make()
    twice = asyncio.run(endpoint.ask([ROW], x_lockstep_key="1\n2"))
    assert (twice.status, "is given twice" in twice.json()["message"]) == (400, True)
    metadata = (("x-lockstep-key", "1"), ("x-lockstep-key", "2"))
    with pytest.raises(RequestInvalid, match="is given twice"):
        asyncio.run(call(endpoint, infer([ROW]), *metadata))
    with pytest.raises(RequestInvalid, match="must be ASCII"):
        only_key([None])
    shadowed = make(routing=Routing(shadows=("challenger",)))
    assert asyncio.run(shadowed.ask([ROW], x_lockstep_key="1\n2")).status == 200, "no canary, no key"


def test_a_version_in_the_path_is_no_matter_of_arms(make: Make) -> None:
    endpoint = make(routing=canary(1.0))
    tensors = [
        {"name": c.name, "datatype": DATATYPES[c.dtype][0], "shape": [1], "data": [ROW[c.name]]}
        for c in INPUTS
        if c.required
    ]
    body = json.dumps({"inputs": tensors}).encode()

    async def run() -> None:
        for version in (CHAMPION, CHALLENGER):
            path = f"/v2/models/toy/versions/{version}/infer"
            answer = await acall(endpoint.app, path, body, headers={**JSON, "x-lockstep-key": "[no key"})
            assert answer.json()["model_version"] == str(version)
            assert "x-lockstep-arm" not in answer.headers
            got, headers, trace = await call(endpoint, infer([ROW], version=str(version)))
            assert (got, trace.arm) == (str(version), "")
            assert "x-lockstep-arm" not in headers
        assert arm_of(await acall(endpoint.app, "/v2/models/toy/infer", body, headers=JSON))[0] == "challenger"

    asyncio.run(run())


def test_the_ramp_is_that_of_the_day_in_utc(make: Make) -> None:
    ramp = {dt.date(2026, 11, 22): 0.2, dt.date(2026, 11, 24): 1.0}
    endpoint = make(routing=Routing(canary=canary().canary.model_copy(update={"ramp": ramp})))  # type: ignore[union-attr]
    rows = flights(range(60))

    async def taken_at(moment: str) -> list[bool]:
        endpoint.clock.seconds = dt.datetime.fromisoformat(moment).timestamp()
        await endpoint.follower.look()
        return [arm_of(await endpoint.ask([row]))[0] == "challenger" for row in rows]

    async def run() -> None:
        assert not any(await taken_at("2026-11-20T12:00:00+00:00"))
        assert endpoint.arms.challenger is None
        assert not any(await taken_at("2026-11-21T23:59:59+00:00"))
        assert endpoint.arms.challenger is not None, "loaded the day before"
        assert await taken_at("2026-11-22T00:00:00+00:00") == batch_takes(rows, 0.2)
        assert await taken_at("2026-11-23T23:59:59+00:00") == batch_takes(rows, 0.2)
        assert all(await taken_at("2026-11-24T00:00:00+00:00"))

    asyncio.run(run())


class Failing(ToyBackend):
    """Raises something that nobody expects, or has no score."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error

    def run(self, arrays: Any) -> Any:
        if self.error is not None:
            raise self.error
        return (np.full(len(arrays[0]), np.nan),)


@pytest.mark.parametrize("error", [None, RuntimeError("secret 4711"), ValueError("4711")])
def test_a_challenger_that_cannot_answer_costs_nobody_an_answer(error: Exception | None, make: Make) -> None:
    registry = Registry(backends={CHALLENGER: Failing(error)})
    endpoint = make(registry=registry, routing=canary(1.0))

    async def run() -> None:
        answer = await endpoint.ask([ROW])
        assert arm_of(answer) == ("champion", CHAMPION)
        assert scores(answer) == scores_of(registry, CHAMPION, [ROW]).tolist()
        assert (await call(endpoint, infer([ROW])))[2].arm == "champion"

    asyncio.run(run())
    assert endpoint.counted(UNROUTED) == {("toy", "fell_back"): 2}
    # What listens for the log of inferences is told of both, each under its own arm.
    assert [scored.shares[0].work.label.arm for scored in registry.heard] == ["challenger", "champion"] * 2  # type: ignore[attr-defined]


def test_a_challenger_that_needs_more_than_was_sent_falls_back(make: Make) -> None:
    endpoint = make(registry=Registry(inputs={CHALLENGER: WIDER}), routing=canary(1.0))
    short = {name: value for name, value in ROW.items() if name != "note"}

    async def run() -> None:
        assert arm_of(await endpoint.ask([ROW])) == ("challenger", CHALLENGER)
        assert arm_of(await endpoint.ask([short])) == ("champion", CHAMPION)
        refused = await endpoint.ask([{**ROW, "flight": "x"}])
        assert refused.status == 400

    asyncio.run(run())
    assert endpoint.counted(UNROUTED) == {("toy", "fell_back"): 1}


def test_metrics_have_the_arm(make: Make) -> None:
    endpoint, rows = make(), flights(range(30))

    async def run() -> None:
        for row in rows:
            await endpoint.ask([row])

    asyncio.run(run())
    taken = sum(batch_takes(rows))
    counted = endpoint.counted("lockstep_rows")
    assert counted == {
        ("invocations", "toy", str(CHAMPION), "champion"): 30 - taken,
        ("invocations", "toy", str(CHALLENGER), "challenger"): taken,
    }


def test_the_published_function_splits(make: Make) -> None:
    """The place of an entity must never change: it would change arms overnight."""
    endpoint = make()
    assert endpoint.arms.canary is not None
    challenger = endpoint.arms.challenger
    assert challenger is not None
    assert endpoint.arms.canary.split_of(challenger) == split()
    assert split().salt == f'["lockstep.arms",1,"toy","{CHALLENGER:064}"]'
