"""What the status page tells, from the numbers that all workers count and the models of the one that is asked."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

from lockstep import __version__
from lockstep.serving.data_plane import DataPlane
from lockstep.serving.fleet import Fleet, ModelSlot
from lockstep.serving.metrics import REQUEST_BUCKETS_S, STAGE_BUCKETS_S, Labels, Snapshot
from lockstep.serving.status.quantiles import quantile

SHOWN_DIGEST = 12
SHARES = {"p50": 0.5, "p99": 0.99}
# Statuses of requests that were turned away: too much of them, not ready, too late.
REFUSED = frozenset({429, 503, 504})
STAGES = ("decode", "queue", "compute", "encode")
OUTCOMES = ("answered", "client_errors", "refused", "failed")

Figures = dict[str, Any]


def figures(plane: DataPlane, total: Snapshot, *, since: dt.datetime, now: dt.datetime) -> Figures:
    """Put together what the page tells.

    Args:
        plane: Of the process that is asked; all serve the same, within a moment.
        total: Sum of the numbers of all processes.
        since: When the endpoint began to count.
        now: When this is.
    """
    requests = [
        (_outcome(status), count)
        for (edge, model, _, _, status), count in total.get("lockstep_requests", ())
        if edge != "other" and (model or int(status) >= 400)  # not those who ask how it is, all day
    ]
    return {
        "server": {
            "name": "lockstep",
            "version": __version__,
            "ready": plane.ready,
            "live": _one(total, "lockstep_workers") == _one(total, "lockstep_workers_live"),
            "stopping": plane.stopping,
            "workers": _one(total, "lockstep_workers"),
            "since": since.isoformat(timespec="seconds"),
            "now": now.isoformat(timespec="seconds"),
        },
        "requests": {
            "in_progress": _one(total, "lockstep_requests_in_progress"),
            "waiting": sum(count for _, count in total.get("lockstep_requests_waiting", ())),
            **{name: sum(count for outcome, count in requests if outcome == name) for name in OUTCOMES},
        },
        "dropped": {log: int(count) for (log,), count in sorted(total.get("lockstep_log_dropped", ()))},
        "models": [_model(plane.fleet, slot, total) for slot in plane.fleet],
    }


def _model(fleet: Fleet, slot: ModelSlot, total: Snapshot) -> Figures:
    waiting = dict(total.get("lockstep_requests_waiting", ()))
    return {
        "name": slot.name,
        "alias": slot.alias,
        "default": slot.name == fleet.default,
        "ready": slot.current is not None,
        "took_over": _sum(total, "lockstep_swaps", slot.name),
        "refused": _sum(total, "lockstep_refused_versions", slot.name),
        "versions": [
            {
                "version": version.number,
                "roles": _roles(slot, version.identity.version),
                "digest": version.identity.digest[:SHOWN_DIGEST],
                "waiting": waiting.get((slot.name, version.number), 0),
            }
            for version in reversed(slot.versions)
        ],
        "traffic": list(_traffic(slot.name, total)),
    }


def _roles(slot: ModelSlot, number: int) -> list[str]:
    named = {"current": slot.current, "previous": slot.previous}
    roles = [role for role, version in named.items() if version is not None and version.identity.version == number]
    return [*roles, *(["pinned"] if number in slot.pinned else [])]


def _traffic(name: str, total: Snapshot) -> Iterator[Figures]:
    """Tell of each version and arm of a model that was asked what it answered, and how fast."""
    counted: dict[tuple[str, str], dict[str, int]] = {}
    for (_, model, version, arm, status), count in total.get("lockstep_requests", ()):
        if model == name:
            outcomes = counted.setdefault((version, arm), dict.fromkeys(OUTCOMES, 0))
            outcomes[_outcome(status)] += count
    for (version, arm), outcomes in sorted(counted.items(), key=lambda each: (-int(each[0][0] or 0), each[0][1])):
        who = (name, version, arm)
        rows = sum(count for labels, count in total.get("lockstep_rows", ()) if labels[1:] == who)
        yield {
            "version": version,
            "arm": arm,
            **outcomes,
            "rows": rows,
            "request_ms": _latency(total, "lockstep_request_seconds", who, bounds=REQUEST_BUCKETS_S),
            "stages_ms": {stage: found for stage, found in _stages(total, who) if found is not None},
        }


def _stages(total: Snapshot, who: Labels) -> Iterator[tuple[str, Figures | None]]:
    """Give the stages in their order, and any further ones after them."""
    seen = {labels[0] for labels, _ in total.get("lockstep_stage_seconds", ()) if labels[1:] == who}
    for stage in (*STAGES, *sorted(seen.difference(STAGES))):
        yield stage, _latency(total, "lockstep_stage_seconds", who, bounds=STAGE_BUCKETS_S, first=stage)


def _latency(
    total: Snapshot, family: str, who: Labels, *, bounds: tuple[float, ...], first: str | None = None
) -> Figures | None:
    """Return quantiles in milliseconds: null for one above the largest bucket; nothing when nothing was counted."""
    found = [
        counts
        for labels, (counts, _) in total.get(family, ())
        if labels[1:] == who and (first is None or labels[0] == first)
    ]
    counts = [sum(each) for each in zip(*found, strict=True)]
    if not sum(counts):
        return None
    values = {name: quantile(bounds, counts, share) for name, share in SHARES.items()}
    return {name: None if value is None else round(value * 1000, 3) for name, value in values.items()}


def _outcome(status: str) -> str:
    number = int(status)
    if number in REFUSED:
        return "refused"
    return "answered" if number < 400 else "client_errors" if number < 500 else "failed"


def _one(total: Snapshot, name: str) -> int:
    return int(sum(value for _, value in total.get(name, ())))


def _sum(total: Snapshot, name: str, model: str) -> int:
    return int(sum(value for labels, value in total.get(name, ()) if labels[0] == model))
