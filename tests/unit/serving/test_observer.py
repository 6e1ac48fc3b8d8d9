"""Request ids, log lines without data, metrics."""

import asyncio
import json
import logging
import re
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from lockstep.serving.observer import edge_of
from tests.unit.serving.toy import call

JSON = {"content-type": "application/json"}


def metrics(app: Any) -> dict[tuple[Any, ...], float]:
    """Samples by name and label values, in the order of the label names."""
    text = call(app, "/metrics").body.decode()
    families = text_string_to_metric_families(text)
    return {(s.name, *map(s.labels.get, sorted(s.labels))): s.value for family in families for s in family.samples}


def test_a_request_id_is_kept_if_safe_and_made_otherwise(app: Any) -> None:
    assert call(app, "/ping", headers={"x-request-id": "abc-1.2:3"}).headers["x-request-id"] == "abc-1.2:3"
    for bad in ("a b", "x" * 200, "a\nb", ""):
        made = call(app, "/ping", headers={"x-request-id": bad}).headers["x-request-id"]
        assert re.fullmatch("[0-9a-f]{32}", made)


def test_the_access_log_holds_neither_data_nor_line_breaks(
    app: Any, row: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="lockstep.access")
    body = json.dumps({"dataframe_records": [{**row, "carrier": "4711"}] * 3}).encode()
    call(app, "/invocations", body, headers={**JSON, "x-request-id": "r-9"})
    call(app, "/a\nb")
    assert re.fullmatch(r"POST '/invocations' 200 rows=3 [\d.]+ms id=r-9", caplog.messages[0])
    assert caplog.messages[1].startswith(r"GET '/a\nb' 404 rows=0 ")


def test_requests_rows_stages_and_model_are_counted(app: Any, row: dict[str, Any]) -> None:
    body = json.dumps({"dataframe_records": [row] * 3}).encode()
    call(app, "/invocations", body, headers=JSON)
    call(app, "/invocations", b"{", headers=JSON)
    call(app, "/v2/models/nope")
    found = metrics(app)
    assert found["lockstep_requests_total", "invocations", "200"] == 1
    assert found["lockstep_requests_total", "invocations", "400"] == 1
    assert found["lockstep_requests_total", "open_inference", "404"] == 1
    assert found["lockstep_rows_total", "invocations"] == 3
    assert found["lockstep_model_info", "d" * 64, "toy", "3"] == 1
    assert found["lockstep_requests_in_progress", "invocations"] == 0
    for stage in ("decode", "score", "encode"):
        assert found["lockstep_stage_seconds_count", stage] >= 1
    assert found["lockstep_request_seconds_count", "invocations"] == 2


@pytest.mark.parametrize(
    ("path", "edge"),
    [
        ("/v2", "open_inference"),
        ("/v2/x", "open_inference"),
        ("/v2x", "other"),
        ("/ping", "invocations"),
        ("/", "other"),
    ],
)
def test_paths_belong_to_edges(path: str, edge: str) -> None:
    assert edge_of(path) == edge


def test_a_client_that_goes_away_is_499(app: Any) -> None:
    async def gone() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(_: dict[str, Any]) -> None:
        pass

    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/invocations", "headers": headers, "query_string": b""}
    asyncio.run(app(scope, gone, send))
    assert metrics(app)["lockstep_requests_total", "invocations", "499"] == 1


def test_the_api_description_needs_nothing_from_elsewhere(app: Any) -> None:
    assert call(app, "/docs").status == 404
    assert {"/invocations", "/v2/models/{name}/infer", "/metrics"} <= call(app, "/openapi.json").json()["paths"].keys()
