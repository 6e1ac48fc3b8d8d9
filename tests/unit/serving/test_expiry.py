import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from lockstep.errors import RequestInvalid
from lockstep.serving.data_plane import DataPlane, Limits
from lockstep.serving.exchange import Exchange
from lockstep.serving.expiry import HEADERS, expire, timeout_s
from lockstep.serving.trace import NEVER, Trace
from tests.unit.serving.toy import Head, Headers, Wire, app_of, call

JSON = {"content-type": "application/json"}


def expires_in(**headers: str) -> float:
    exchange = Exchange(Head("POST", "/", "", Headers({n.replace("_", "-"): v for n, v in headers.items()})), Wire([]))
    expire(exchange)
    return exchange.trace.expires - time.monotonic()


def test_who_says_nothing_waits_for_ever() -> None:
    assert expires_in() == NEVER


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_says_how_long(name: str) -> None:
    assert 9 < expires_in(**{name: "10000"}) <= 10


def test_the_sooner_counts() -> None:
    assert 4 < expires_in(**dict(zip(HEADERS, ("5000", "9000"), strict=True))) <= 5
    assert 4 < expires_in(**dict(zip(HEADERS, ("9000", "5000"), strict=True))) <= 5


@pytest.mark.parametrize("value", ["", "0", "-1", "1.5", "1e3", "10 000", "1" * 13, "soon", "\u0661"])
@pytest.mark.parametrize("edge", [("/invocations", "message"), ("/v2/models/toy/infer", "error")])
def test_anything_else_is_400(app: Any, value: str, edge: tuple[str, str]) -> None:
    for name in HEADERS:
        answer = call(app, edge[0], b"{}", headers={**JSON, name: value})
        assert (answer.status, name in answer.json()[edge[1]]) == (400, True)


def test_time_counts_from_when_the_request_came() -> None:
    trace = Trace("r", began=time.perf_counter() - 3)
    trace.expire_in(10)
    assert 6 < trace.expires - time.monotonic() <= 7
    trace.expire_in(20)
    assert trace.expires - time.monotonic() <= 7


@pytest.mark.parametrize(("parameters", "expected"), [({}, None), ({"timeout": 0}, None), ({"timeout": 1500}, 0.0015)])
def test_a_parameter_in_microseconds(parameters: dict[str, Any], expected: float | None) -> None:
    assert timeout_s(parameters) == expected


@pytest.mark.parametrize("value", ["100", 1.5, True, -1, [1], {}])
def test_other_parameters_are_refused(value: Any) -> None:
    with pytest.raises(RequestInvalid, match=r"parameters\.timeout must be a whole number of microseconds"):
        timeout_s({"timeout": value})


def test_an_inference_request_that_waited_too_long_is_504(app: Any) -> None:
    inputs = [{"name": "carrier", "datatype": "BYTES", "shape": [1], "data": ["UA"]}]
    zeros = {"distance": "FP64", "rate": "FP32", "seats": "INT32", "flight": "INT64"}
    inputs += [{"name": n, "datatype": d, "shape": [1], "data": [0]} for n, d in zeros.items()]
    inputs += [{"name": "wet", "datatype": "BOOL", "shape": [1], "data": [True]}]
    inputs += [{"name": "at", "datatype": "BYTES", "shape": [1], "data": ["2013-08-01"]}]
    for timeout, status in ((1, 504), (10**8, 200), ("1", 400)):
        body = json.dumps({"inputs": inputs, "parameters": {"timeout": timeout}}).encode()
        answer = call(app, "/v2/models/toy/infer", body, headers=JSON)
        assert (answer.status, status == 200 or set(answer.json()) == {"error"}) == (status, True)


def test_a_body_that_comes_after_the_deadline_is_504_and_the_connection_is_closed(
    make_plane: Callable[[Limits], DataPlane],
) -> None:
    class Never(Wire):
        async def __call__(self) -> bytes:
            await asyncio.sleep(60)
            raise AssertionError

    app, wire = app_of(make_plane(Limits())), Never([])
    head = Head("POST", "/invocations", "", Headers({**JSON, "content-length": "9", HEADERS[0]: "20"}))
    asyncio.run(app(head, wire))
    assert wire.answer is not None
    assert (wire.answer.status, wire.answer.json()["error_code"]) == (504, "DEADLINE_EXCEEDED")
    assert wire.answer.headers["connection"] == "close"
