"""Admission: a bounded number of requests, and a fast, honest no to the rest."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from lockstep.serving.app import build_app
from lockstep.serving.data_plane import DataPlane, Limits
from tests.unit.serving.toy import Answer, acall, call

JSON = {"content-type": "application/json"}


def body(row: dict[str, Any], rows: int = 1) -> bytes:
    return json.dumps({"dataframe_records": [row] * rows}).encode()


@pytest.mark.parametrize("path", ["/invocations", "/v2/models/toy/infer"])
def test_more_requests_than_admitted_are_503_with_retry_after(
    path: str, make_plane: Callable[[Limits], DataPlane], row: dict[str, Any]
) -> None:
    plane = make_plane(Limits(in_progress=2, retry_after_s=7))
    app = build_app(plane)
    with plane.admission(), plane.admission():
        refused = call(app, path, body(row), headers=JSON)
        healthy = call(app, "/ping")
    assert refused.status == 503
    assert refused.headers["retry-after"] == "7"
    assert refused.json().keys() <= {"error", "error_code", "message"}
    assert healthy.status == 200


def test_places_are_given_back_whatever_happens(make_plane: Callable[[Limits], DataPlane], row: dict[str, Any]) -> None:
    app = build_app(make_plane(Limits(in_progress=1)))
    for bad in (b"{", body({**row, "carrier": "XX"}), body(row)):
        status = call(app, "/invocations", bad, headers=JSON).status
    assert status == 200


def test_concurrent_requests_get_their_own_rows(make_plane: Callable[[Limits], DataPlane], row: dict[str, Any]) -> None:
    app = build_app(make_plane(Limits(inline_bytes=1000)))
    bodies = [body({**row, "flight": number}, rows=1 + number % 40) for number in range(60)]

    async def all_at_once() -> list[Answer]:
        return await asyncio.gather(*(acall(app, "/invocations", b, headers=JSON) for b in bodies))

    together = asyncio.run(all_at_once())
    assert [a.body for a in together] == [call(app, "/invocations", b, headers=JSON).body for b in bodies]


def test_a_body_that_does_not_arrive_is_408(make_plane: Callable[[Limits], DataPlane]) -> None:
    app = build_app(make_plane(Limits(body_timeout_s=0.01)))
    sent: list[dict[str, Any]] = []

    async def never() -> dict[str, Any]:
        await asyncio.sleep(60)
        raise AssertionError

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/invocations", "headers": headers, "query_string": b""}
    asyncio.run(app(scope, never, send))
    assert sent[0]["status"] == 408
