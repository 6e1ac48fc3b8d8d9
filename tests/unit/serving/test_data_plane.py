"""Admission: a bounded number of requests, and a fast, honest no to the rest."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from lockstep.serving.data_plane import DataPlane, Limits
from tests.unit.serving.toy import Answer, Head, Headers, Wire, acall, app_of, call

JSON = {"content-type": "application/json"}


def body(row: dict[str, Any], rows: int = 1) -> bytes:
    return json.dumps({"dataframe_records": [row] * rows}).encode()


@pytest.mark.parametrize("path", ["/invocations", "/v2/models/toy/infer"])
def test_more_requests_than_admitted_are_503_with_retry_after(
    path: str, make_plane: Callable[[Limits], DataPlane], row: dict[str, Any]
) -> None:
    plane = make_plane(Limits(in_progress=2))
    app = app_of(plane)
    with plane.admitted, plane.admitted:
        refused = call(app, path, body(row), headers=JSON)
        healthy = call(app, "/ping")
    assert refused.status == 503
    assert refused.headers["retry-after"] == "1"
    assert refused.json().keys() <= {"error", "error_code", "message"}
    assert healthy.status == 200


def test_places_are_given_back_whatever_happens(make_plane: Callable[[Limits], DataPlane], row: dict[str, Any]) -> None:
    app = app_of(make_plane(Limits(in_progress=1)))
    for bad in (b"{", body({**row, "carrier": "XX"}), body(row)):
        status = call(app, "/invocations", bad, headers=JSON).status
    assert status == 200


def test_concurrent_requests_get_their_own_rows(make_plane: Callable[[Limits], DataPlane], row: dict[str, Any]) -> None:
    app = app_of(make_plane(Limits(inline_bytes=1000)))
    bodies = [body({**row, "flight": number}, rows=1 + number % 40) for number in range(60)]

    async def all_at_once() -> list[Answer]:
        return await asyncio.gather(*(acall(app, "/invocations", b, headers=JSON) for b in bodies))

    together = asyncio.run(all_at_once())
    assert [a.body for a in together] == [call(app, "/invocations", b, headers=JSON).body for b in bodies]


def test_a_body_that_does_not_arrive_is_408(make_plane: Callable[[Limits], DataPlane]) -> None:
    class Never(Wire):
        async def __call__(self) -> bytes:
            await asyncio.sleep(60)
            raise AssertionError

    app, wire = app_of(make_plane(Limits(body_timeout_s=0.01))), Never([])
    asyncio.run(app(Head("POST", "/invocations", "", Headers({**JSON, "content-length": "9"})), wire))
    assert wire.answer is not None
    assert (wire.answer.status, wire.answer.headers["connection"]) == (408, "close")
