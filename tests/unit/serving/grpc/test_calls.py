"""Around every call: request id, deadline, status, metrics."""

import asyncio
import contextlib
import io
import json
import time
from typing import Any, NoReturn, cast

import pytest
from grpc import StatusCode

from lockstep.errors import RequestInvalid
from lockstep.serving.access_log import AccessLog
from lockstep.serving.grpc.calls import Call, Observer, observed
from lockstep.serving.metrics import Metrics
from lockstep.serving.trace import Trace
from lockstep.serving.tracing.facts import Facts
from lockstep.serving.tracing.request_span import RequestSpan
from tests.unit.serving.tracing.test_context import GOOD, SPAN, TRACE

METHOD = "/inference.GRPCInferenceService/ModelInfer"


class Aborted(Exception):
    """What gRPC raises to end a call."""


class Context:
    """As much of gRPC's context of a call as is used."""

    def __init__(self, metadata: tuple[tuple[str, str | bytes], ...] = (), remaining: float | None = None) -> None:
        self._metadata = metadata
        self._remaining = remaining
        self.trailing: tuple[Any, ...] = ()
        self.aborted: tuple[StatusCode, str] | None = None

    def invocation_metadata(self) -> tuple[tuple[str, str | bytes], ...]:
        return self._metadata

    def time_remaining(self) -> float | None:
        return self._remaining

    def set_trailing_metadata(self, metadata: tuple[Any, ...]) -> None:
        self.trailing = metadata

    async def abort(self, code: StatusCode, details: str, trailing: tuple[Any, ...]) -> NoReturn:
        self.aborted, self.trailing = (code, details), trailing
        raise Aborted


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def count(metrics: Metrics, status: int) -> float | None:
    found = dict(metrics.snapshot()["lockstep_requests"])
    return found.get(("grpc", "", "", "", str(status)))


def call(answer: Any, context: Context, metrics: Metrics) -> Any:
    return asyncio.run(observed(METHOD, answer, Observer(metrics))(b"question", context))


def test_an_answer_passes_with_its_id_and_headers(metrics: Metrics) -> None:
    async def answer(request: bytes, given: Call) -> bytes:
        assert given.trace.request_id == "q-1"
        assert given.trace.edge == "grpc"
        assert 4 < given.trace.expires - time.monotonic() <= 5
        given.headers = (("a", "b"),)
        return request + b"!"

    context = Context((("x-request-id", "q-1"),), remaining=5.0)
    assert call(answer, context, metrics) == b"question!"
    assert context.trailing == (("x-request-id", "q-1"), ("a", "b"))
    assert count(metrics, 200) == 1
    assert metrics.in_progress == 0


@pytest.mark.parametrize("given", [(), (("x-request-id", "bad\nid"),), (("x-request-id", b"bytes"),)])
def test_without_a_safe_id_there_is_a_new_one_and_no_deadline_is_never(given: Any, metrics: Metrics) -> None:
    async def answer(_: bytes, made: Call) -> str:
        assert made.trace.expires == float("inf")
        return made.trace.request_id

    assert len(call(answer, Context(given), metrics)) == 32


def test_an_error_becomes_its_status(metrics: Metrics) -> None:
    async def answer(_: bytes, _call: Call) -> bytes:
        raise RequestInvalid("field 'x' is wrong")

    context = Context((("x-request-id", "q"),))
    with pytest.raises(Aborted):
        call(answer, context, metrics)
    assert context.aborted == (StatusCode.INVALID_ARGUMENT, "field 'x' is wrong")
    assert context.trailing == (("x-request-id", "q"),)
    assert count(metrics, 400) == 1


def test_a_surprise_is_an_internal_error_that_says_nothing(metrics: Metrics, caplog: pytest.LogCaptureFixture) -> None:
    async def answer(request: bytes, _call: Call) -> bytes:
        raise ValueError(request.decode())

    context = Context((("x-request-id", "q"),))
    with pytest.raises(Aborted):
        call(answer, context, metrics)
    assert context.aborted is not None
    assert context.aborted[0] is StatusCode.INTERNAL
    assert "request id q" in context.aborted[1]
    assert "question" not in context.aborted[1] + caplog.text
    assert "ValueError" in caplog.text
    assert count(metrics, 500) == 1


class Spans:
    """What a tracing is told of calls."""

    def __init__(self) -> None:
        self.begun: list[tuple[list[str], list[str], bool]] = []
        self.ended: list[dict[str, Any]] = []

    def begin(self, trace: Trace, parents: list[str], states: list[str], *, root: bool) -> None:
        self.begun.append((parents, states, root))
        trace.span = RequestSpan(TRACE, "1" * 16)

    def end(self, trace: Trace, facts: Facts) -> None:
        self.ended.append({"name": facts.name, "failed": facts.failed, **facts.attributes})


async def good(request: bytes, _call: Call) -> bytes:
    return request


async def refused(_request: bytes, _call: Call) -> bytes:
    raise RequestInvalid("field 'x' is wrong")


async def broken(_request: bytes, _call: Call) -> bytes:
    raise ValueError


async def gone(_request: bytes, _call: Call) -> bytes:
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    ("answer", "code", "failed"),
    [
        (good, "OK", False),
        (refused, "INVALID_ARGUMENT", False),
        (broken, "INTERNAL", True),
        (gone, "CANCELLED", False),
    ],
)
def test_a_call_is_a_span_with_its_status(answer: Any, code: str, failed: bool, metrics: Metrics) -> None:
    spans = Spans()
    context = Context((("traceparent", GOOD), ("x-request-id", "q"), ("tracestate", "a=1"), ("tracestate", "b=2")))
    with contextlib.suppress(Aborted, asyncio.CancelledError):
        asyncio.run(observed(METHOD, answer, Observer(metrics, None, cast("Any", spans)))(b"question", context))
    assert spans.begun == [([GOOD], ["a=1", "b=2"], True)]
    (ended,) = spans.ended
    assert ended["name"] == ended["rpc.method"] == "inference.GRPCInferenceService/ModelInfer"
    assert (ended["rpc.response.status_code"], ended["failed"]) == (code, failed)
    assert ("error.type" in ended) == (code != "OK")
    assert ended["lockstep.request_id"] == "q"


def test_a_probe_begins_no_trace(metrics: Metrics) -> None:
    spans = Spans()
    probe = METHOD.replace("ModelInfer", "ServerReady")
    asyncio.run(observed(probe, good, Observer(metrics, None, cast("Any", spans)))(b"", Context()))
    assert spans.begun == [([], [], False)]


def test_without_an_exporter_the_log_names_the_callers_trace(metrics: Metrics) -> None:
    stream = io.StringIO()
    log = AccessLog(stream)
    for metadata in ((("traceparent", GOOD),), (("traceparent", "nonsense"),), (("traceparent", GOOD),) * 2, ()):
        asyncio.run(observed(METHOD, good, Observer(metrics, log))(b"", Context(metadata)))
    log.flush()
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line.get("trace_id") for line in lines] == [TRACE, None, None, None]
    assert lines[0]["span_id"] == SPAN


@pytest.mark.parametrize(("remaining", "status"), [(None, 499), (60.0, 499), (0.0, 504)])
def test_a_call_that_nobody_waits_for_is_counted_as_such(
    remaining: float | None, status: int, metrics: Metrics
) -> None:
    async def answer(_: bytes, _call: Call) -> bytes:
        await asyncio.sleep(10)
        return b""

    async def cancelled(context: Context) -> None:
        task = asyncio.ensure_future(observed(METHOD, answer, Observer(metrics))(b"", context))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert context.aborted is None

    asyncio.run(cancelled(Context(remaining=remaining)))
    assert count(metrics, status) == 1
