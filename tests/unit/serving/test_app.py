"""Request ids, log lines without data, metrics, unknown routes, a stop."""

import asyncio
import io
import json
import re
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from lockstep.serving.access_log import AccessLog
from lockstep.serving.data_plane import DataPlane
from lockstep.serving.errors import ClientGone
from lockstep.serving.router import edge_of
from tests.unit.serving.toy import Head, Headers, Wire, acall, app_of, call

JSON = {"content-type": "application/json"}


def metrics(app: Any) -> dict[tuple[Any, ...], float]:
    """Samples by name and the values of their labels that are not empty, in the order of the labels' names."""
    families = text_string_to_metric_families(call(app, "/metrics").body.decode())
    samples = [sample for family in families for sample in family.samples]
    return {(s.name, *(s.labels[name] for name in sorted(s.labels) if s.labels[name])): s.value for s in samples}


def test_a_request_id_is_kept_if_safe_and_made_otherwise(app: Any) -> None:
    assert call(app, "/ping", headers={"x-request-id": "abc-1.2:3"}).headers["x-request-id"] == "abc-1.2:3"
    made = [call(app, "/ping", headers={"x-request-id": bad}).headers["x-request-id"] for bad in ("a b", "x" * 200, "")]
    assert len(set(made)) == len(made)
    assert all(re.fullmatch("[0-9a-f]{32}", each) for each in made)


def test_the_access_log_is_a_line_of_json_without_data(plane: DataPlane, row: dict[str, Any]) -> None:
    stream = io.StringIO()
    log = AccessLog(stream)
    app = app_of(plane, log=log)
    body = json.dumps({"dataframe_records": [{**row, "carrier": "4711"}] * 3}).encode()
    call(app, "/invocations?key=4711", body, headers={**JSON, "x-request-id": "r-9"})
    call(app, "/a\nb")
    log.flush()
    scored, unknown = map(json.loads, stream.getvalue().splitlines())
    assert {k: scored[k] for k in ("method", "path", "status", "rows", "id", "model", "version")} == {
        "method": "POST", "path": "/invocations", "status": 200, "rows": 3, "id": "r-9", "model": "toy", "version": "3",
    }  # fmt: skip
    assert scored["stages_ms"].keys() == {"decode", "queue", "compute", "encode"}
    assert unknown["path"] == "/a\nb"
    assert "4711" not in stream.getvalue()


def test_a_log_that_cannot_be_written_counts_what_it_dropped(plane: DataPlane) -> None:
    stream = io.StringIO()
    stream.close()
    log = AccessLog(stream)
    call(app_of(plane, log=log), "/ping")
    log.flush()
    assert log.dropped == 1


def test_requests_rows_stages_and_model_are_counted(app: Any, row: dict[str, Any]) -> None:
    body = json.dumps({"dataframe_records": [row] * 3}).encode()
    call(app, "/invocations", body, headers=JSON)
    call(app, "/invocations", b"{", headers=JSON)
    call(app, "/v2/models/nope")
    found = metrics(app)
    assert found["lockstep_requests_total", "invocations", "toy", "200", "3"] == 1
    assert found["lockstep_requests_total", "invocations", "toy", "400", "3"] == 1
    assert found["lockstep_requests_total", "open_inference", "404"] == 1
    assert found["lockstep_rows_total", "invocations", "toy", "3"] == 3
    assert found["lockstep_requests_in_progress",] == 1  # the one for the metrics
    for stage in ("decode", "queue", "compute", "encode"):
        assert found["lockstep_stage_seconds_count", "toy", stage, "3"] == 1
    assert found["lockstep_request_seconds_count", "invocations", "toy", "3"] == 2


@pytest.mark.parametrize(
    ("path", "edge"),
    [("/v2", "open_inference"), ("/v2/x", "open_inference"), ("/v2x", "other"), ("/", "other")],
)
def test_paths_without_a_route_belong_to_edges(path: str, edge: str) -> None:
    assert edge_of(path) == edge


def test_another_method_is_405_and_says_which_are_there(app: Any) -> None:
    answer = call(app, "/invocations", method="GET")
    assert (answer.status, answer.headers["allow"]) == (405, "POST")
    assert call(app, "/ping", method="HEAD").status == 200


def test_a_client_that_goes_away_is_499(app: Any) -> None:
    class Broken(Wire):
        async def __call__(self) -> bytes:
            raise ClientGone

    asyncio.run(app(Head("POST", "/invocations", "", Headers({**JSON, "content-length": "9"})), Broken([])))
    assert metrics(app)["lockstep_requests_total", "invocations", "toy", "499", "3"] == 1


def test_a_stop_waits_for_requests_in_progress_and_refuses_new_ones(plane: DataPlane, row: dict[str, Any]) -> None:
    app = app_of(plane)
    body = json.dumps({"dataframe_records": [row]}).encode()

    class Slow(Wire):
        async def __call__(self) -> bytes:
            await asyncio.sleep(0.05)
            return body

    async def run() -> tuple[int, bool, int]:
        wire = Slow([])
        head = Head("POST", "/invocations", "", Headers({**JSON, "content-length": str(len(body))}))
        running = asyncio.create_task(app(head, wire))
        await asyncio.sleep(0.01)
        stop = asyncio.create_task(app.drain(grace_s=10))
        await asyncio.sleep(0)
        refused = await acall(app, "/invocations", body, headers=JSON)
        waited = not stop.done()
        await asyncio.gather(stop, running)
        assert wire.answer is not None
        return wire.answer.status, waited, refused.status

    assert asyncio.run(run()) == (200, True, 503)
