"""The span of one request while it is answered, and when each of its stages began and ended."""

import time
from collections.abc import Sequence

from lockstep.serving.trace import Trace
from lockstep.serving.tracing.context import Members, TraceContext, read_parent
from lockstep.serving.work import Work


class Stages(dict[str, float]):
    """Seconds by stage, as `Trace.stages_s`, which also notes when each stage was: it ends when its seconds are set.

    Attributes:
        times: Begin and end of each stage, by `time.perf_counter`.
    """

    __slots__ = ("times",)

    def __init__(self) -> None:
        super().__init__()
        self.times: dict[str, tuple[float, float]] = {}

    def __setitem__(self, stage: str, seconds: float) -> None:
        """Note a stage that ends now."""
        now = time.perf_counter()
        self.times[stage] = (now - seconds, now)
        super().__setitem__(stage, seconds)


class RequestSpan:
    """Where a request belongs to.

    Attributes:
        trace_id: Of the client's trace, or a new one.
        span_id: Of the request when it is recorded, else the client's.
        parent: The client's span; none: the request begins a trace.
        state: Of the client's trace.
        flags: Of the request.
        stages: When its stages were; none: it is not recorded, and only the log names its trace.
    """

    __slots__ = ("flags", "parent", "span_id", "stages", "state", "trace_id")

    def __init__(self, trace_id: str, span_id: str, *, parent: TraceContext | None = None) -> None:
        self.trace_id = trace_id
        self.span_id = span_id
        self.parent = parent
        self.state: Members = ()
        self.flags = 0
        self.stages: Stages | None = None

    def scored(self, work: Work) -> None:
        """Note when rows waited and when the model had them; called once their scores are there."""
        if self.stages is None:
            return
        ended = time.perf_counter()
        # Both clocks count seconds, but from moments that differ on some systems.
        apart = ended - time.monotonic()
        arrived, started = work.arrived + apart, work.started + apart
        self.stages.times["queue"] = (arrived, started)
        # Rows in one micro-batch were with the model for as long as it took; between several, others had their turn.
        self.stages.times["compute"] = (started, started + work.compute_s if len(work.parts) == 1 else ended)


def note_parent(trace: Trace, parents: Sequence[str]) -> None:
    """Note for the log in which trace a request comes, where no spans are exported.

    Args:
        trace: Of the request.
        parents: Its headers `traceparent`.
    """
    parent = read_parent(parents)
    if parent is not None:
        trace.span = RequestSpan(parent.trace_id, parent.span_id, parent=parent)
