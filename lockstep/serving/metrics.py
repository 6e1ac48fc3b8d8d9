"""Metrics of an endpoint: plain numbers while requests run, Prometheus's families when somebody asks.

prometheus_client's own instruments take a lock and search their buckets one by one, together longer than a row takes to
decode; and several worker processes on one port need one answer. So the numbers are kept here, can be written down and
added up (`snapshot`, `merged`), and are handed to prometheus_client for its text format alone.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from lockstep.serving.trace import Trace

# Seconds: from a lone row (tens of microseconds of model) to a body of the largest size.
STAGE_BUCKETS_S = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
REQUEST_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024, 4096, 16384)
WHO = ("model", "version", "arm")
ANSWERED = 400  # statuses below it answer rows

Labels = tuple[str, ...]
Snapshot = dict[str, list[tuple[Labels, Any]]]


@dataclass(frozen=True)
class Family:
    """One metric: its kind, what it says, its labels, and for a histogram the upper bounds of its buckets.

    A `bound` is a gauge that is the same in all processes, so that several are not added up.
    """

    kind: str
    help: str
    labels: Labels
    buckets: tuple[float, ...] = ()


FAMILIES: dict[str, Family] = {
    "lockstep_requests": Family(
        "counter", "Requests; status 499 is a client that went away.", ("edge", *WHO, "status")
    ),
    "lockstep_rows": Family("counter", "Scored rows.", ("edge", *WHO)),
    "lockstep_request_seconds": Family("histogram", "Seconds per request.", ("edge", *WHO), REQUEST_BUCKETS_S),
    "lockstep_stage_seconds": Family("histogram", "Seconds per stage.", ("stage", *WHO), STAGE_BUCKETS_S),
    "lockstep_batch_rows": Family("histogram", "Rows of a micro-batch.", ("model", "version"), BATCH_BUCKETS),
    "lockstep_requests_in_progress": Family("gauge", "Requests that are being answered.", ()),
    "lockstep_requests_waiting": Family("gauge", "Requests that wait for their turn at a model.", ("model", "version")),
    "lockstep_slo_seconds": Family(
        "bound", "Requests that would be answered later than this are refused.", ("model", "version")
    ),
    "lockstep_workers": Family("gauge", "Processes that answer.", ()),
    "lockstep_workers_live": Family("gauge", "Those of them in which no model is stuck.", ()),
    "lockstep_model_info": Family("info", "Versions that answer.", ("model", "version", "digest")),
    "lockstep_swaps": Family("counter", "Versions that took over.", ("model", "version")),
    "lockstep_refused_versions": Family("counter", "Versions that were not let serve.", ("model",)),
    "lockstep_features": Family(
        "counter",
        "Looked up features of rows: what the source had, and what was used.",
        ("model", "feature", "state", "use"),
    ),
    "lockstep_log_dropped": Family("counter", "Lines or rows that a log had no room for.", ("log",)),
}


class Distribution:
    """Counts by bucket, and the sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


@dataclass(slots=True)
class _Numbers:
    """Of one edge and version."""

    seconds: Distribution
    rows: int = 0
    statuses: dict[int, int] = field(default_factory=dict)
    stages: dict[str, Distribution] = field(default_factory=dict)


class Metrics:
    """What one process of an endpoint counts; belongs to its event loop.

    Attributes:
        in_progress: Requests that are being answered.
        info: Versions that answer: model, version, digest.
        more: Numbers that others keep, asked for when somebody wants to know all; none: there are none.
    """

    def __init__(self) -> None:
        self.in_progress = 0
        self.info: set[Labels] = set()
        self.more: Callable[[], Snapshot] | None = None
        self._numbers: dict[Labels, _Numbers] = {}
        self._batches: dict[Labels, Distribution] = {}
        self._counters: dict[str, dict[Labels, float]] = {}

    def observe(self, trace: Trace, status: int, seconds: float) -> None:
        """Count one answered request.

        Args:
            trace: What happened to it.
            status: As HTTP has it; 499 is a client that went away.
            seconds: From its first byte to its last.
        """
        who = (trace.edge, trace.model, trace.version, trace.arm)
        numbers = self._numbers.get(who)
        if numbers is None:
            numbers = self._numbers[who] = _Numbers(Distribution(REQUEST_BUCKETS_S))
        numbers.statuses[status] = numbers.statuses.get(status, 0) + 1
        numbers.seconds.observe(seconds)
        if status < ANSWERED:  # the others answered no row
            numbers.rows += trace.rows
        for stage, stage_seconds in trace.stages_s.items():
            distribution = numbers.stages.get(stage)
            if distribution is None:
                distribution = numbers.stages[stage] = Distribution(STAGE_BUCKETS_S)
            distribution.observe(stage_seconds)

    def observe_batch(self, model: str, version: str, rows: int) -> None:
        """Count one micro-batch."""
        self._batches.setdefault((model, version), Distribution(BATCH_BUCKETS)).observe(rows)

    def add(self, name: str, *labels: str, value: float = 1) -> None:
        """Add to a plain counter of `FAMILIES`."""
        counter = self._counters.setdefault(name, {})
        counter[labels] = counter.get(labels, 0) + value

    def snapshot(self) -> Snapshot:
        """Return all numbers, as JSON can hold them."""
        found: Snapshot = {name: list(values.items()) for name, values in self._counters.items()}
        found["lockstep_requests_in_progress"] = [((), self.in_progress)]
        found["lockstep_model_info"] = [(labels, 1) for labels in self.info]
        found["lockstep_batch_rows"] = [(labels, _plain(each)) for labels, each in self._batches.items()]
        requests, rows, seconds = [], [], []
        stages: dict[Labels, Distribution] = {}
        for (edge, *who), numbers in self._numbers.items():
            requests += [((edge, *who, str(status)), count) for status, count in numbers.statuses.items()]
            rows.append(((edge, *who), numbers.rows))
            seconds.append(((edge, *who), _plain(numbers.seconds)))
            for stage, distribution in numbers.stages.items():
                _take_in(stages.setdefault((stage, *who), Distribution(STAGE_BUCKETS_S)), _plain(distribution))
        found["lockstep_stage_seconds"] = [(labels, _plain(each)) for labels, each in stages.items()]
        found |= {"lockstep_requests": requests, "lockstep_rows": rows, "lockstep_request_seconds": seconds}
        for name, values in (self.more() if self.more is not None else {}).items():
            found[name] = [*found.get(name, ()), *values]
        return found


def text(snapshots: Iterable[Mapping[str, Any]], *, process: bool) -> bytes:
    """Write the sum of snapshots in Prometheus's text format.

    Args:
        snapshots: Of one or more processes.
        process: Whether to add the memory, files and processor time of this process.
    """
    registry = CollectorRegistry()
    if process:
        ProcessCollector(registry=registry)
    registry.register(_Collected(list(snapshots)))
    return generate_latest(registry)


class _Collected:
    """What prometheus_client asks for metrics."""

    def __init__(self, snapshots: list[Mapping[str, Any]]) -> None:
        self._snapshots = snapshots

    def collect(self) -> Iterator[Metric]:
        for name, values in merged(self._snapshots).items():
            yield _metric(name, FAMILIES[name], dict(values))


def merged(snapshots: Iterable[Mapping[str, Any]]) -> Snapshot:
    """Add snapshots up, name by name and labels by labels."""
    total: dict[str, dict[Labels, Any]] = {}
    for snapshot in snapshots:
        for name, values in snapshot.items():
            kind, found = FAMILIES[name].kind, total.setdefault(name, {})
            for given, value in values:
                labels = tuple(given)
                found[labels] = _sum(found[labels], value, kind=kind) if labels in found else value
    return {name: list(total[name].items()) for name in FAMILIES if total.get(name)}


def _sum(one: Any, other: Any, *, kind: str) -> Any:
    if kind in {"info", "bound"}:
        return max(one, other)
    if kind == "histogram":
        return [a + b for a, b in zip(one[0], other[0], strict=True)], one[1] + other[1]
    return one + other


def _metric(name: str, family: Family, values: dict[Labels, Any]) -> Metric:
    if family.kind == "histogram":
        histogram = HistogramMetricFamily(name, family.help, labels=family.labels)
        bounds = [*map(str, map(float, family.buckets)), "+Inf"]
        for labels, (counts, total) in values.items():
            histogram.add_metric(labels, list(zip(bounds, accumulate(counts), strict=True)), total)
        return histogram
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    plain = kind(name, family.help, labels=family.labels)
    for labels, value in values.items():
        plain.add_metric(labels, value)
    return plain


def _plain(distribution: Distribution) -> tuple[list[int], float]:
    return list(distribution.counts), distribution.total


def _take_in(distribution: Distribution, more: Sequence[Any]) -> None:
    counts, total = more
    distribution.counts = [one + other for one, other in zip(distribution.counts, counts, strict=True)]
    distribution.total += total
