"""A canary is ended and resumed by one call, with the record that the batch reads."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from lockstep.run.canary_state import canary_events, current_abort
from lockstep.serving.exchange import Exchange, Reply
from lockstep.serving.router import Route
from lockstep.serving.routing.edge import canary_routes
from lockstep.specs.routing_spec import Routing
from tests.unit.serving.routing.trials import CHALLENGER, canary, routed
from tests.unit.serving.toy import ROW, Head, Headers, Wire

ABORT, RESUME = "models/toy/canary/abort", "models/toy/canary/resume"
DIGEST = f"{CHALLENGER:064}"


def test_one_call_ends_it_and_another_lets_it_go_on(tmp_path: Path) -> None:
    endpoint = routed(tmp_path, routing=canary(1.0))

    async def arm() -> Any:
        return (await endpoint.ask([ROW])).headers["x-lockstep-arm"]

    async def run() -> None:
        body = json.dumps({"reason": " customers complain "}).encode()
        for _ in range(2):
            ended = await endpoint.post(ABORT, body)
            assert ended.json() == {"name": "toy", "alias": "challenger", "version": "4", "state": "aborted"}
        assert await arm() == "champion"
        abort = current_abort(tmp_path, "model=toy", DIGEST)
        assert abort is not None
        assert (abort.reasons, abort.actor) == (("customers complain",), "a client of the endpoint")
        assert (await endpoint.post(RESUME, b'{"reason": "the input was wrong"}')).json()["state"] == "resumed"
        assert await arm() == "challenger"

    asyncio.run(run())
    assert [event.kind for event in canary_events(tmp_path, "model=toy", DIGEST)] == ["aborted", "resumed"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (ABORT, b"", 400),
        (ABORT, b'{"reason": " "}', 400),
        (ABORT, b'{"reason": 7}', 400),
        (ABORT, json.dumps({"reason": "x" * 501}).encode(), 400),
        (ABORT, b'{"reason": "x", "version": 4}', 400),
        ("models/other/canary/abort", b'{"reason": "x"}', 404),
    ],
)
def test_bad_calls_change_nothing(path: str, body: bytes, status: int, tmp_path: Path) -> None:
    endpoint = routed(tmp_path, routing=canary(1.0))
    answer = asyncio.run(endpoint.post(path, body))
    assert answer.status == status
    assert answer.json().keys() == {"error"}
    assert canary_events(tmp_path, "model=toy", DIGEST) == []


def test_only_an_admin_may_and_is_named(tmp_path: Path) -> None:
    endpoint = routed(tmp_path, routing=canary(1.0))
    routes = canary_routes(endpoint.plane, endpoint.follower, home=tmp_path)
    assert [route.action for route in routes] == ["admin", "admin"]
    exchange = Exchange(Head("POST", f"/v2/repository/{ABORT}", "", Headers()), Wire([b'{"reason": "odd"}']))
    exchange.params, exchange.trace.client = {"name": "toy"}, "ann"
    assert asyncio.run(_handled(routes[0], exchange)).status == 200
    abort = current_abort(tmp_path, "model=toy", DIGEST)
    assert abort is not None
    assert abort.actor == "ann"
    assert (exchange.trace.model, exchange.trace.version) == ("toy", "4")


async def _handled(route: Route, exchange: Exchange) -> Reply:
    return await route.handler(exchange)


def test_a_model_without_a_canary_and_one_that_cannot_be_had_are_told(tmp_path: Path) -> None:
    shadowed = routed(tmp_path, routing=Routing(shadows=("challenger",)))
    answer = asyncio.run(shadowed.post(ABORT, b'{"reason": "x"}'))
    assert (answer.status, "has no canary here" in answer.json()["error"]) == (409, True)
    endpoint = routed(tmp_path, routing=canary(1.0))
    endpoint.registry.down = True
    assert asyncio.run(endpoint.post(ABORT, b'{"reason": "x"}')).status == 503
    del endpoint.registry.aliases["challenger"]
    endpoint.registry.down = False
    assert asyncio.run(endpoint.post(ABORT, b'{"reason": "x"}')).status == 404
