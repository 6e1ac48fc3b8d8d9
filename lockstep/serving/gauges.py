"""Numbers of an endpoint process that are read when somebody asks, beside those that are counted as requests go by."""

from collections.abc import Mapping

from lockstep.serving.data_plane import DataPlane
from lockstep.serving.metrics import Snapshot


def gauges(plane: DataPlane, *, dropped: Mapping[str, int]) -> Snapshot:
    """Read how the process is doing now.

    Args:
        plane: Of the process.
        dropped: What its logs had no room for, by log.
    """
    loaded = [version for slot in plane.fleet for version in slot.versions]
    named = [((version.identity.name, version.number), version.lane) for version in loaded]
    return {
        "lockstep_workers": [((), 1)],
        "lockstep_workers_live": [((), int(plane.live))],
        "lockstep_requests_waiting": [(labels, lane.waiting) for labels, lane in named],
        "lockstep_slo_seconds": [(labels, lane.limits.slo_s) for labels, lane in named],
        # From the start, so that Prometheus sees the first of them as an increase.
        "lockstep_refused_versions": [((slot.name,), 0) for slot in plane.fleet],
        "lockstep_log_dropped": [((log,), count) for log, count in dropped.items()],
    }
