"""Prometheus metrics of one endpoint, in a registry of their own."""

from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from lockstep.serving.trace import Trace

# Seconds: from a lone row (tens of microseconds of model) to a body of the largest size.
STAGE_BUCKETS_S = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
REQUEST_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024, 4096, 16384)
WHO = ("model", "version", "arm")
ANSWERED = 400  # statuses below it answer rows


@dataclass(frozen=True)
class _Children:
    """The metrics of one edge and model version, looked up once."""

    rows: Counter
    seconds: Histogram
    stages: dict[str, Histogram] = field(default_factory=dict)
    statuses: dict[int, Counter] = field(default_factory=dict)


class Metrics:
    """What the endpoint counts.

    Attributes:
        registry: Holds the metrics.
        in_progress: Requests that are being answered.
        batch_rows: Rows of micro-batches, by model and version.
        swaps: Versions that took over, by model and version.
        refused: Versions that could not, by model.
        info: 1 for each version that answers, by model, version and digest.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        ProcessCollector(registry=self.registry)
        own = self.registry
        self._requests = Counter("lockstep_requests", "Requests.", ("edge", *WHO, "status"), registry=own)
        self._rows = Counter("lockstep_rows", "Scored rows.", ("edge", *WHO), registry=own)
        self._stages = Histogram(
            "lockstep_stage_seconds", "Seconds per stage.", ("stage", *WHO), buckets=STAGE_BUCKETS_S, **made
        )
        self._seconds = Histogram(
            "lockstep_request_seconds", "Seconds per request.", ("edge", *WHO), buckets=REQUEST_BUCKETS_S, **made
        )
        self.in_progress = Gauge("lockstep_requests_in_progress", "Requests in progress.", registry=own)
        self.batch_rows = Histogram(
            "lockstep_batch_rows", "Rows of a micro-batch.", ("model", "version"), buckets=BATCH_BUCKETS, **made
        )
        self.swaps = Counter("lockstep_swaps", "Versions that took over.", ("model", "version"), registry=own)
        self.refused = Counter(
            "lockstep_refused_versions", "Versions that were not let serve.", ("model",), registry=own
        )
        self.info = Gauge("lockstep_model_info", "Versions that answer.", ("model", "version", "digest"), registry=own)
        self._children: dict[tuple[str, str, str, str], _Children] = {}

    def observe(self, trace: Trace, status: int, seconds: float) -> None:
        """Count one answered request.

        Args:
            trace: What happened to it.
            status: As HTTP has it; 499 is a client that went away.
            seconds: From its first byte to its last.
        """
        who = (trace.model, trace.version, trace.arm)
        children = self._children.get((trace.edge, *who))
        if children is None:
            children = _Children(self._rows.labels(trace.edge, *who), self._seconds.labels(trace.edge, *who))
            self._children[(trace.edge, *who)] = children
        counter = children.statuses.get(status)
        if counter is None:
            counter = children.statuses[status] = self._requests.labels(trace.edge, *who, str(status))
        counter.inc()
        children.seconds.observe(seconds)
        if status < ANSWERED and trace.rows:  # the others answered no row
            children.rows.inc(trace.rows)
        for stage, stage_seconds in trace.stages_s.items():
            histogram = children.stages.get(stage)
            if histogram is None:
                histogram = children.stages[stage] = self._stages.labels(stage, *who)
            histogram.observe(stage_seconds)

    def text(self) -> bytes:
        """Return the metrics in Prometheus's text format."""
        return generate_latest(self.registry)
