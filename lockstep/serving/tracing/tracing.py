"""Which requests are traced, and from a finished request to its spans.

Spans are made when a request is over, by the thread that sends them: while it is answered, only the moments of its
stages are noted. OpenTelemetry's own SDK gives the sampler, the ids, the resource and the form of a span.
"""

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags, TraceState, set_span_in_context
from opentelemetry.trace.status import Status, StatusCode

from lockstep import __version__
from lockstep.serving.trace import Trace
from lockstep.serving.tracing.context import Members, TraceContext, read_parent, read_state
from lockstep.serving.tracing.export import SpanWriter
from lockstep.serving.tracing.facts import Facts
from lockstep.serving.tracing.request_span import RequestSpan, Stages

NANOSECONDS = 1_000_000_000
CLOSE_S = 5.0
SCOPE = InstrumentationScope("lockstep.serving", __version__)
FAILED, UNSET = Status(StatusCode.ERROR), Status(StatusCode.UNSET)

Writer = SpanWriter["FinishedRequest", ReadableSpan]


class FinishedRequest(NamedTuple):
    """A request that was answered, and when.

    Attributes:
        span: Where it belongs to.
        times: Begin and end of its stages, by `time.perf_counter`.
        facts: What its span says.
        began, ended: By the same clock.
        epoch_ns: Nanoseconds since 1970 at that clock's zero.
    """

    span: RequestSpan
    times: dict[str, tuple[float, float]]
    facts: Facts
    began: float
    ended: float
    epoch_ns: int


class Tracing:
    """The tracing of one endpoint process.

    Args:
        provider: Its sampler, ids and resource are used.
        writer: Sends the spans.
    """

    def __init__(self, provider: TracerProvider, writer: Writer) -> None:
        self._sampler = provider.sampler
        self._ids = provider.id_generator
        self._writer = writer

    @property
    def dropped(self) -> int:
        """Requests whose spans were not sent."""
        return self._writer.dropped

    def begin(self, trace: Trace, parents: Sequence[str], states: Sequence[str], *, root: bool) -> None:
        """Decide whether a request is traced, and note in its trace where it belongs to.

        Args:
            trace: Of the request.
            parents: Its headers `traceparent`.
            states: Its headers `tracestate`.
            root: Whether it may begin a trace when it comes without one.
        """
        parent = read_parent(parents)
        if parent is None and not root:
            return
        members = read_state(states) if parent is not None else ()
        number = int(parent.trace_id, 16) if parent is not None else self._ids.generate_trace_id()
        context = Context()
        if parent is not None:
            context = set_span_in_context(NonRecordingSpan(_span_context(parent, members)), context)
        made = self._sampler.should_sample(context, number, trace.edge, SpanKind.SERVER)
        if made.decision is not Decision.RECORD_AND_SAMPLE:
            trace.span = RequestSpan(parent.trace_id, parent.span_id, parent=parent) if parent is not None else None
            return
        span = RequestSpan(f"{number:032x}", f"{self._ids.generate_span_id():016x}", parent=parent)
        span.state = members
        span.flags = TraceFlags.SAMPLED | (parent.flags if parent is not None else 0)
        trace.stages_s = span.stages = Stages()
        trace.span = span

    def end(self, trace: Trace, facts: Facts) -> None:
        """Leave a request that is over to be sent, if it is traced."""
        span = trace.span
        if span is None or span.stages is None:
            return
        now = time.perf_counter()
        epoch_ns = time.time_ns() - int(now * NANOSECONDS)
        self._writer.put(FinishedRequest(span, span.stages.times, facts, trace.began, now, epoch_ns))

    def start(self) -> None:
        """Send spans from now on."""
        self._writer.start()

    def close(self) -> None:
        """Send what waits, within a few seconds."""
        self._writer.close(timeout_s=CLOSE_S)


class SpanMaker:
    """Makes the spans of finished requests, for one process."""

    def __init__(self, provider: TracerProvider) -> None:
        self._resource = provider.resource
        self._ids = provider.id_generator

    def spans_of(self, finished: FinishedRequest) -> Iterator[ReadableSpan]:
        """Make the span of a request and those of its stages."""
        span, parent = finished.span, finished.span.parent
        flags, state = TraceFlags(span.flags), _state(span.state)
        own = SpanContext(int(span.trace_id, 16), int(span.span_id, 16), False, flags, state)
        yield ReadableSpan(
            finished.facts.name,
            context=own,
            parent=_span_context(parent, span.state) if parent is not None else None,
            resource=self._resource,
            attributes=finished.facts.attributes,
            kind=SpanKind.SERVER,
            status=FAILED if finished.facts.failed else UNSET,
            start_time=_ns(finished.began, finished),
            end_time=_ns(finished.ended, finished),
            instrumentation_scope=SCOPE,
        )
        for stage, (began, ended) in finished.times.items():
            yield ReadableSpan(
                stage,
                context=SpanContext(
                    own.trace_id, self._ids.generate_span_id(), False, own.trace_flags, own.trace_state
                ),
                parent=own,
                resource=self._resource,
                kind=SpanKind.INTERNAL,
                start_time=_ns(began, finished),
                end_time=_ns(ended, finished),
                instrumentation_scope=SCOPE,
            )


def _ns(moment: float, finished: FinishedRequest) -> int:
    return finished.epoch_ns + int(moment * NANOSECONDS)


def _span_context(parent: TraceContext, members: Members) -> SpanContext:
    numbers = int(parent.trace_id, 16), int(parent.span_id, 16)
    return SpanContext(*numbers, is_remote=True, trace_flags=TraceFlags(parent.flags), trace_state=_state(members))


def _state(members: Members) -> TraceState:
    return TraceState(list(members))
