"""Around every call: request id, deadline, status, metrics."""

import asyncio
import time
from typing import Any, NoReturn

import pytest
from grpc import StatusCode

from lockstep.errors import RequestInvalid
from lockstep.serving.grpc.calls import Call, Observer, observed
from lockstep.serving.metrics import Metrics

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
