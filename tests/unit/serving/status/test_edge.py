"""The page and its JSON tell what was counted, escape what they are given, and say where they load from: nowhere."""

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from lockstep.scoring.scorer import Scorer
from lockstep.serving.data_plane import DataPlane, Limits
from lockstep.serving.fleet import Fleet, ModelSlot
from lockstep.serving.lane import ScoringLane
from lockstep.serving.metrics import Metrics
from lockstep.serving.status.edge import status_routes
from lockstep.serving.trace import Trace
from lockstep.serving.versions import LoadedVersion
from lockstep.serving.work import Running
from lockstep.serving.workers.shared_metrics import PREFIX
from tests.unit.serving.toy import IDENTITY, ROW, app_of, call

JSON = {"content-type": "application/json"}
BODY = json.dumps({"dataframe_records": [ROW] * 3}).encode()
FAILING = json.dumps({"dataframe_records": [{**ROW, "carrier": "YY"}]}).encode()


def told(app: Any) -> Any:
    return call(app, "/status.json").json()


def text_of(page: str) -> str:
    return re.sub("[ \n]+", " ", re.sub("<[^>]*>", " ", page.partition("<body>")[2]))


@pytest.fixture
def app(plane: DataPlane) -> Any:
    return app_of(plane, *status_routes(plane))


def test_it_tells_what_was_answered_and_how_fast(app: Any) -> None:
    for body in (BODY, BODY, b"{", FAILING):
        call(app, "/invocations", body, headers=JSON)
    found = told(app)
    assert found["server"]["ready"] is found["server"]["live"] is True
    assert found["server"]["workers"] == 1
    wanted = {"in_progress": 1, "waiting": 0, "answered": 2, "client_errors": 1, "refused": 0, "failed": 1}
    assert found["requests"] == wanted, "in progress is the one that asks"
    assert found["dropped"] == {"access": 0, "spans": 0}
    (model,) = found["models"]
    assert {key: model[key] for key in ("name", "alias", "default", "ready", "took_over", "refused")} == {
        "name": "toy", "alias": None, "default": True, "ready": True, "took_over": 0, "refused": 0,
    }  # fmt: skip
    assert model["versions"] == [{"version": "3", "roles": ["current"], "digest": "d" * 12, "waiting": 0}]
    (traffic,) = model["traffic"]
    assert {key: traffic[key] for key in ("version", "arm", "answered", "client_errors", "failed", "rows")} == {
        "version": "3", "arm": "", "answered": 2, "client_errors": 1, "failed": 1, "rows": 6,
    }  # fmt: skip
    assert traffic["stages_ms"].keys() == {"decode", "queue", "compute", "encode"}
    for latency in (traffic["request_ms"], *traffic["stages_ms"].values()):
        assert 0 < latency["p50"] <= latency["p99"]


def test_the_page_has_the_same_numbers(app: Any) -> None:
    for _ in range(1234):
        app._metrics.observe(Trace("r", "invocations", "toy", "3", rows=1), 200, 0.004)
    page = call(app, "/status")
    assert (page.status, page.headers["cache-control"]) == (200, "no-store")
    said = text_of(page.body.decode())
    for expected in ("Ready", "toy", "current", "d" * 12, "answered 1\N{NARROW NO-BREAK SPACE}234", "3.75 ms"):
        assert expected in said


def test_arms_are_told_apart(app: Any) -> None:
    for arm, seconds in (("champion", 0.001), ("challenger", 30.0)):
        app._metrics.observe(Trace("r", "grpc", "toy", "3", arm=arm, rows=2), 200, seconds)
        app._metrics.observe(Trace("r", "invocations", "toy", "3", arm=arm, rows=2), 503, seconds)
    (model,) = told(app)["models"]
    slow, fast = model["traffic"]
    assert (slow["arm"], slow["rows"], slow["refused"], slow["request_ms"]) == (
        "challenger", 2, 1, {"p50": None, "p99": None},
    )  # fmt: skip
    assert fast["request_ms"]["p50"] == pytest.approx(0.75)
    assert "beyond the histogram" in text_of(call(app, "/status").body.decode())


def test_nothing_that_a_model_is_called_becomes_markup(scorer: Scorer) -> None:
    odd = "<script>alert(1)</script>\"'&"
    identity = IDENTITY.model_copy(update={"name": odd})
    slot = ModelSlot(odd, alias="<b>", current=LoadedVersion(identity, scorer, ScoringLane(scorer)))
    plane = DataPlane(Fleet([slot, ModelSlot("absent")]), metrics=Metrics(), limits=Limits())
    app = app_of(plane, *status_routes(plane))
    plane.metrics.observe(Trace("r", "grpc", odd, "3", arm="<i>"), 200, 0.001)
    page = call(app, "/status").body.decode()
    assert "<script" not in page
    assert "<i>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&#34;&#39;&amp;" in page
    assert "A model is not loaded" in page
    assert "Not loaded" in page
    plane.close()


def test_the_page_may_load_nothing_but_its_own_style(app: Any) -> None:
    answer = call(app, "/status")
    page, policy = answer.body.decode(), answer.headers["content-security-policy"]
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}'; ")
    assert "unsafe" not in policy
    assert not re.search(r"<script|style=|\son\w+=|url\(|@import|https?://", page)
    assert 'http-equiv="refresh"' in page
    assert 'http-equiv="refresh"' not in call(app, "/status?refresh=off").body.decode()


def test_numbers_of_all_workers_add_up(plane: DataPlane, tmp_path: Path) -> None:
    (tmp_path / "serving.json").write_text("{}")
    app = app_of(plane, *status_routes(plane, folder=tmp_path))
    plane.metrics.observe(Trace("r", "grpc", "toy", "3", rows=2), 200, 0.001)
    (tmp_path / f"{PREFIX}1.json").write_text(json.dumps(plane.metrics.snapshot()))
    found = told(app)
    assert (found["server"]["workers"], found["requests"]["answered"]) == (2, 2)
    assert found["models"][0]["traffic"][0]["rows"] == 4
    assert found["server"]["live"] is True


def test_a_stuck_model_is_what_the_page_says_first(plane: DataPlane) -> None:
    app = app_of(plane, *status_routes(plane))
    (version,) = plane.fleet.slot("toy").versions
    version.lane._running.append(Running(1.0, 1.0))
    assert told(app)["server"]["live"] is False
    assert "A model is stuck" in call(app, "/status").body.decode()


def test_who_may_see_the_metrics_may_see_it(plane: DataPlane) -> None:
    assert [(route.path, route.action) for route in status_routes(plane)] == [
        ("/status", "metrics"),
        ("/status.json", "metrics"),
    ]
