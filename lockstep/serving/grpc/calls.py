"""Around every call: its id and deadline, its status when it fails, its metrics and its line in the log."""

import asyncio
import logging
import time
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from grpc import StatusCode

from lockstep.errors import LockstepError
from lockstep.serving.access_log import AccessLog, Line
from lockstep.serving.answering import CLIENT_CLOSED_REQUEST, INTERNAL_ERROR, status_of
from lockstep.serving.grpc.statuses import code_of, details_of, pushback
from lockstep.serving.metrics import Metrics
from lockstep.serving.trace import NEVER, Trace, request_id
from lockstep.serving.tracing.context import PARENT, STATE
from lockstep.serving.tracing.facts import OK as OK_NAME
from lockstep.serving.tracing.facts import rpc_facts
from lockstep.serving.tracing.request_span import note_parent

if TYPE_CHECKING:
    from lockstep.serving.tracing.tracing import Tracing

EDGE = "grpc"
OK, TIMED_OUT = 200, 504
REQUEST_ID = "x-request-id"
# Asked all day by whoever looks after the server: in a trace when they bring one.
PROBES = ("/ServerLive", "/ServerReady", "/ModelReady")

Metadata = tuple[tuple[str, str | bytes], ...]
RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")

_log = logging.getLogger("lockstep.serving")


@dataclass(slots=True)
class Call:
    """One call.

    Attributes:
        method: Its full name, such as `/inference.GRPCInferenceService/ModelInfer`.
        context: gRPC's own view of it.
        trace: What happened to it.
        headers: Trailing metadata of a good answer.
    """

    method: str
    context: Any
    trace: Trace
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def metadata(self) -> Metadata:
        """What the client sent along: names in lower case, values of names that end in `-bin` as bytes."""
        return tuple((key, value) for key, value in self.context.invocation_metadata() or ())

    @property
    def peer(self) -> str:
        """Address of the other end, in gRPC's form: `ipv4:192.0.2.1:4711`."""
        return str(self.context.peer())

    @property
    def certified(self) -> dict[str, Any]:
        """What TLS knows of the client, by gRPC's names of it, such as `x509_pem_cert`."""
        return dict(self.context.auth_context())


Answer = Callable[[RequestT, Call], Awaitable[ResponseT]]
Handler = Callable[[RequestT, Any], Awaitable[ResponseT]]


@dataclass(frozen=True)
class Observer:
    """Where calls are counted and written down."""

    metrics: Metrics
    log: AccessLog | None = None
    tracing: "Tracing | None" = None

    def begin(self, call: Call, parents: list[str], states: list[str]) -> None:
        """Note in which trace a call comes, from its metadata `traceparent` and `tracestate`."""
        if self.tracing is not None:
            self.tracing.begin(call.trace, parents, states, root=not call.method.endswith(PROBES))
        elif parents:
            note_parent(call.trace, parents)

    def record(self, call: Call, status: int, *, code: str) -> None:
        """Count one answered call, by the status that HTTP would have given it, and by its own for its span."""
        seconds = time.perf_counter() - call.trace.began
        self.metrics.observe(call.trace, status, seconds)
        if self.tracing is not None and call.trace.span is not None:
            self.tracing.end(call.trace, rpc_facts(call.trace, call.method, code=code))
        if self.log is not None:
            self.log.add(Line(time.time(), "POST", call.method, status, call.trace, seconds))


def observed(method: str, answer: Answer[RequestT, ResponseT], observer: Observer) -> Handler[RequestT, ResponseT]:
    """Return a handler for a gRPC server.

    Args:
        method: Full name of the method.
        answer: Gives the response or raises; a `LockstepError` becomes its status.
        observer: Told of every call.
    """

    async def handle(request: RequestT, context: Any) -> ResponseT:
        call = _call(method, context, observer)
        observer.metrics.in_progress += 1
        failure, status, code = None, OK, OK_NAME
        try:
            return await answer(request, call)
        except asyncio.CancelledError:
            late = time.monotonic() >= call.trace.expires
            status, code = (TIMED_OUT, "DEADLINE_EXCEEDED") if late else (CLIENT_CLOSED_REQUEST, "CANCELLED")
            raise
        except Exception as error:  # noqa: BLE001 - a client gets an answer whatever happens
            failure = _failure(error, call.trace)
            status, code = failure.status, failure.code.name
        finally:
            observer.metrics.in_progress -= 1
            observer.record(call, status, code=code)
            context.set_trailing_metadata(((REQUEST_ID, call.trace.request_id), *call.headers))
        named = (REQUEST_ID, call.trace.request_id)
        await context.abort(failure.code, failure.details, (named, *failure.metadata))
        raise AssertionError("abort raises")

    return handle


@dataclass(frozen=True)
class _Failure:
    status: int
    code: StatusCode
    details: str
    metadata: tuple[tuple[str, str], ...] = ()


def _failure(error: Exception, trace: Trace) -> _Failure:
    if isinstance(error, LockstepError):
        return _Failure(status_of(error), code_of(error), details_of(error), pushback(error))
    # Without the message: it may quote what the client sent.
    frames = "".join(traceback.format_tb(error.__traceback__))
    _log.error("request %s failed with %s\n%s", trace.request_id, type(error).__name__, frames)
    details = f"internal error; the server's log has it under request id {trace.request_id}"
    return _Failure(INTERNAL_ERROR, StatusCode.INTERNAL, details)


def _call(method: str, context: Any, observer: Observer) -> Call:
    given, parents, states = None, [], []
    for key, value in context.invocation_metadata() or ():
        if key == REQUEST_ID and given is None:
            given = value
        elif key == PARENT:
            parents.append(value)
        elif key == STATE:
            states.append(value)
    remaining = context.time_remaining()
    trace = Trace(request_id(given if isinstance(given, str) else None), edge=EDGE)
    trace.expires = NEVER if remaining is None else time.monotonic() + remaining
    call = Call(method, context, trace)
    if parents or observer.tracing is not None:
        observer.begin(call, parents, states)
    return call
