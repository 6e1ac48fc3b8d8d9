"""Prometheus metrics of one endpoint, in a registry of their own."""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from lockstep.run.plan import ModelIdentity

# Seconds: from a lone row (tens of microseconds of model) to a body of the largest size.
STAGE_BUCKETS_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
REQUEST_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Metrics:
    """What the endpoint counts.

    Attributes:
        registry: Holds the metrics below.
        requests: Answered requests by edge and status; 499 is a client that went away.
        rows: Scored rows by edge.
        stages: Seconds of the stages decode, score (waiting for its turn included) and encode.
        duration: Seconds of a whole request by edge.
        in_progress: Requests that are being answered, by edge.
    """

    registry: CollectorRegistry
    requests: Counter
    rows: Counter
    stages: Histogram
    duration: Histogram
    in_progress: Gauge

    @classmethod
    def create(cls, identity: ModelIdentity) -> "Metrics":
        """Create the metrics of an endpoint that serves one model."""
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        info = Gauge("lockstep_model_info", "The served model.", ("name", "version", "digest"), registry=registry)
        info.labels(identity.name, str(identity.version), identity.digest).set(1)
        return cls(
            registry=registry,
            requests=Counter("lockstep_requests", "Requests.", ("edge", "status"), registry=registry),
            rows=Counter("lockstep_rows", "Scored rows.", ("edge",), registry=registry),
            stages=_seconds(registry, "lockstep_stage_seconds", "stage", buckets=STAGE_BUCKETS_S),
            duration=_seconds(registry, "lockstep_request_seconds", "edge", buckets=REQUEST_BUCKETS_S),
            in_progress=Gauge("lockstep_requests_in_progress", "Requests in progress.", ("edge",), registry=registry),
        )

    def text(self) -> bytes:
        """Return the metrics in Prometheus's text format."""
        return generate_latest(self.registry)


def _seconds(registry: CollectorRegistry, name: str, label: str, *, buckets: tuple[float, ...]) -> Histogram:
    return Histogram(name, f"Seconds per {label}.", (label,), buckets=buckets, registry=registry)
