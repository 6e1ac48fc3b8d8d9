"""Numbers that are read when somebody asks, and how those of several processes are put together."""

import asyncio
import io
import json

import pytest
from prometheus_client.parser import text_string_to_metric_families

from lockstep.scoring.scorer import Scorer
from lockstep.serving.access_log import WAITING, AccessLog, Line
from lockstep.serving.data_plane import DataPlane
from lockstep.serving.gauges import gauges
from lockstep.serving.lane import ScoringLane
from lockstep.serving.lane_limits import LaneLimits
from lockstep.serving.metrics import FAMILIES, Metrics, merged, text
from lockstep.serving.trace import Trace
from lockstep.serving.work import Running
from tests.unit.serving.toy import ROW, app_of, json_batch


def samples(*planes: DataPlane) -> dict[tuple[str, ...], float]:
    snapshots = [plane.metrics.snapshot() for plane in planes]
    families = text_string_to_metric_families(text(snapshots, process=False).decode())
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


def test_everything_is_there_before_the_first_request(plane: DataPlane) -> None:
    app_of(plane)
    assert samples(plane) == {
        ("lockstep_requests_in_progress",): 0,
        ("lockstep_requests_waiting", "toy", "3"): 0,
        ("lockstep_slo_seconds", "toy", "3"): 1,
        ("lockstep_workers",): 1,
        ("lockstep_workers_live",): 1,
        ("lockstep_refused_versions_total", "toy"): 0,
        ("lockstep_log_dropped_total", "access"): 0,
        ("lockstep_log_dropped_total", "spans"): 0,
    }


def test_processes_add_up_but_bounds_do_not(plane: DataPlane) -> None:
    app_of(plane)
    plane.metrics.add("lockstep_refused_versions", "toy")
    plane.fleet.slot("toy").versions[0].lane._running.append(Running(1.0, 1.0))
    found = samples(plane, plane)
    assert found["lockstep_workers",] == 2
    assert found["lockstep_workers_live",] == 0
    assert found["lockstep_refused_versions_total", "toy"] == 2
    assert found["lockstep_slo_seconds", "toy", "3"] == 1


def test_who_waits_is_counted(plane: DataPlane, scorer: Scorer) -> None:
    lane = ScoringLane(scorer, LaneLimits(slo_s=5))
    plane.fleet.slot("toy").versions[0].lane = lane
    rows = json_batch(json.dumps({"dataframe_records": [ROW]}).encode())

    async def run() -> tuple[object, object]:
        asked = [asyncio.ensure_future(lane.score(rows)) for _ in range(3)]
        await asyncio.sleep(0)
        during = gauges(plane, dropped={})["lockstep_requests_waiting"]
        await asyncio.gather(*asked)
        return during, gauges(plane, dropped={})["lockstep_requests_waiting"]

    assert asyncio.run(run()) == ([(("toy", "3"), 3)], [(("toy", "3"), 0)])
    lane.close()


def test_lines_that_the_log_drops_are_counted(plane: DataPlane) -> None:
    log = AccessLog(io.StringIO())
    app_of(plane, log=log)
    for _ in range(WAITING + 2):
        log.add(Line(0.0, "GET", "/", 200, Trace("r"), 0.1))
    assert samples(plane)["lockstep_log_dropped_total", "access"] == 2


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_has_a_kind_that_can_be_written(name: str) -> None:
    family = FAMILIES[name]
    value = ([1] * (len(family.buckets) + 1), 1.0) if family.kind == "histogram" else 1
    labels = tuple("x" for _ in family.labels)
    assert name in text([{name: [(labels, value)]}], process=False).decode()
    assert merged([Metrics().snapshot(), {name: [(labels, value)]}])[name][-1] == (labels, value)
