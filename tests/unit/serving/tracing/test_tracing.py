"""Who is traced, what spans say, and that a plain request knows nothing of it."""

import io
import json
import time
from collections.abc import Sequence
from typing import Any

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, Sampler, TraceIdRatioBased
from opentelemetry.trace import SpanKind, StatusCode

from lockstep.serving.access_log import AccessLog
from lockstep.serving.app import Application
from lockstep.serving.data_plane import DataPlane
from lockstep.serving.tracing.assembly import build_tracing, is_wanted
from lockstep.serving.tracing.export import SpanWriter
from lockstep.serving.tracing.tracing import SpanMaker, Tracing
from lockstep.specs.tracing_spec import TracingSection
from tests.unit.serving.toy import ROW, app_of, call
from tests.unit.serving.tracing.test_context import GOOD, SPAN, TRACE

GENERAL = "OTEL_EXPORTER_OTLP_PROTOCOL"
UNSAMPLED = GOOD[:-2] + "00"
BODY = json.dumps({"dataframe_records": [ROW] * 3}).encode()
JSON = {"content-type": "application/json"}


class Traced:
    """An application whose spans are kept."""

    def __init__(self, plane: DataPlane, sampler: Sampler | None = None) -> None:
        self.spans: list[ReadableSpan] = []
        provider = TracerProvider(sampler or ParentBased(ALWAYS_ON), Resource({"a": "b"}), shutdown_on_exit=False)
        self.writer = SpanWriter(SpanMaker(provider).spans_of, self._send, waiting=100, batch=100, every_s=60)
        self.stream = io.StringIO()
        self.log = AccessLog(self.stream)
        plain = app_of(plane)
        self.app = Application(plane, plain.router.routes, log=self.log, tracing=Tracing(provider, self.writer))

    def _send(self, spans: Sequence[ReadableSpan]) -> bool:
        self.spans += spans
        return True

    def flush(self) -> list[dict[str, Any]]:
        self.writer._send_all()
        self.log.flush()
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


def by_name(spans: list[ReadableSpan]) -> dict[str, ReadableSpan]:
    return {span.name: span for span in spans}


def test_a_request_becomes_a_span_with_its_stages(plane: DataPlane) -> None:
    traced = Traced(plane)
    before = time.time_ns()
    answer = call(traced.app, "/invocations", BODY, headers={**JSON, "traceparent": GOOD, "tracestate": "a=1"})
    after = time.time_ns()
    assert not {"traceparent", "tracestate", "traceresponse"} & answer.headers.keys()
    (line,) = traced.flush()
    found = by_name(traced.spans)
    assert found.keys() == {"POST /invocations", "decode", "queue", "compute", "encode"}
    server = found["POST /invocations"]
    assert server.kind is SpanKind.SERVER
    assert server.parent is not None
    assert (f"{server.parent.trace_id:032x}", f"{server.parent.span_id:016x}") == (TRACE, SPAN)
    assert server.parent.is_remote
    assert (line["trace_id"], line["span_id"]) == (TRACE, f"{server.context.span_id:016x}")
    assert server.context.trace_state.to_header() == "a=1"
    assert dict(server.attributes or {}) == {
        "http.request.method": "POST", "http.route": "/invocations", "http.response.status_code": 200,
        "url.path": "/invocations", "url.scheme": "http", "lockstep.request_id": answer.headers["x-request-id"],
        "lockstep.edge": "invocations", "lockstep.model": "toy", "lockstep.version": "3", "lockstep.rows": 3,
    }  # fmt: skip
    assert server.status.status_code is StatusCode.UNSET
    assert server.resource.attributes["a"] == "b"
    stages = [found[name] for name in ("decode", "queue", "compute", "encode")]
    assert before <= int(server.start_time or 0) <= int(server.end_time or 0) <= after
    moments = [moment for stage in stages for moment in (stage.start_time, stage.end_time)]
    assert moments == sorted(moments, key=int)
    assert int(server.start_time or 0) <= int(moments[0] or 0)
    assert int(moments[-1] or 0) <= int(server.end_time or 0)
    for stage in stages:
        assert stage.parent == server.context
        assert stage.context.trace_id == server.context.trace_id
        seconds = (int(stage.end_time or 0) - int(stage.start_time or 0)) / 1e9
        assert seconds == pytest.approx(line["stages_ms"][stage.name] / 1000, abs=2e-6)
    assert len({span.context.span_id for span in traced.spans}) == 5


def test_the_callers_decision_counts(plane: DataPlane) -> None:
    traced = Traced(plane)
    call(traced.app, "/invocations", BODY, headers={**JSON, "traceparent": UNSAMPLED})
    (line,) = traced.flush()
    assert traced.spans == []
    assert (line["trace_id"], line["span_id"]) == (TRACE, SPAN)
    assert "stages_ms" in line


@pytest.mark.parametrize(("ratio", "spans"), [(0.0, 0), (1.0, 5)])
def test_a_share_of_the_others_begins_a_trace(ratio: float, spans: int, plane: DataPlane) -> None:
    traced = Traced(plane, ParentBased(TraceIdRatioBased(ratio)))
    call(traced.app, "/invocations", BODY, headers={**JSON, "traceparent": "nonsense"})
    (line,) = traced.flush()
    assert len(traced.spans) == spans
    assert ("trace_id" in line) == bool(spans)
    if spans:
        server = by_name(traced.spans)["POST /invocations"]
        assert server.parent is None
        assert line["trace_id"] == f"{server.context.trace_id:032x}" != TRACE
    traced.spans.clear()
    call(traced.app, "/invocations", BODY, headers={**JSON, "traceparent": GOOD})
    traced.flush()
    assert len(traced.spans) == 5, "a traced caller is followed whatever the share"


def test_probes_begin_no_trace_but_are_part_of_one(plane: DataPlane) -> None:
    traced = Traced(plane)
    for path in ("/v2/health/live", "/ping", "/metrics", "/nowhere"):
        call(traced.app, path)
    traced.flush()
    assert traced.spans == []
    call(traced.app, "/v2/health/live", headers={"traceparent": GOOD})
    call(traced.app, "/nowhere", headers={"traceparent": GOOD}, method="BREW")
    traced.flush()
    live, nowhere = traced.spans
    assert live.name == "GET /v2/health/live"
    assert nowhere.name == "HTTP"
    assert (nowhere.attributes or {})["http.request.method"] == "_OTHER"
    assert (nowhere.attributes or {})["http.request.method_original"] == "BREW"
    assert "http.route" not in (nowhere.attributes or {})


def test_a_fault_of_the_endpoint_is_an_error_and_one_of_the_client_is_not(plane: DataPlane) -> None:
    traced = Traced(plane)
    call(traced.app, "/invocations", b"{", headers=JSON)
    failing = json.dumps({"dataframe_records": [{**ROW, "carrier": "YY"}]}).encode()
    call(traced.app, "/invocations", failing, headers=JSON)
    traced.flush()
    refused, failed = [span for span in traced.spans if span.kind is SpanKind.SERVER]
    assert (refused.attributes or {})["http.response.status_code"] == 400
    assert refused.status.status_code is StatusCode.UNSET
    assert failed.status.status_code is StatusCode.ERROR
    assert (failed.attributes or {})["error.type"] == "500"


def test_without_an_exporter_only_the_log_names_the_trace(plane: DataPlane) -> None:
    stream = io.StringIO()
    log = AccessLog(stream)
    app = app_of(plane, log=log)
    call(app, "/invocations", BODY, headers={**JSON, "traceparent": GOOD})
    call(app, "/invocations", BODY, headers={**JSON, "traceparent": GOOD.upper()})
    call(app, "/invocations", BODY, headers=JSON)
    log.flush()
    named, invalid, plain = map(json.loads, stream.getvalue().splitlines())
    assert (named["trace_id"], named["span_id"]) == (TRACE, SPAN)
    assert not {"trace_id", "span_id"} & (invalid.keys() | plain.keys())


@pytest.mark.parametrize(
    ("section", "environ", "wanted"),
    [
        (None, {}, False),
        (TracingSection(), {}, True),
        (None, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:4318"}, True),
        (None, {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://a:4318/x"}, True),
        (TracingSection(), {"OTEL_SDK_DISABLED": "true"}, False),
        (TracingSection(), {"OTEL_TRACES_EXPORTER": "none"}, False),
        (TracingSection(), {"OTEL_TRACES_EXPORTER": "console, otlp"}, True),
        (TracingSection(), {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, True),
        (TracingSection(), {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, False),
        (TracingSection(), {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf", GENERAL: "grpc"}, True),
    ],
)  # fmt: skip
def test_it_is_on_when_somebody_asks_for_it(
    section: TracingSection | None, environ: dict[str, str], wanted: bool
) -> None:
    assert is_wanted(section, environ) is wanted
    if not wanted:
        assert build_tracing(section, environ) is None


def test_what_is_configured_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=here")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    tracing = build_tracing(TracingSection(endpoint="http://127.0.0.1:9/", ratio=0.25, service="scores"))
    assert tracing is not None
    assert "0.25" in tracing._sampler.get_description()
    by_variable = build_tracing(TracingSection())
    assert by_variable is not None
    assert by_variable._sampler.get_description() == "AlwaysOffSampler"


@pytest.mark.parametrize("endpoint", ["collector:4318", "http://u:secret@a:1", "http://a?key=1", "grpc://a:4317", ""])
def test_an_address_that_is_none_is_refused(endpoint: str) -> None:
    with pytest.raises(ValueError, match=r"address|secret|credential"):
        TracingSection(endpoint=endpoint)
