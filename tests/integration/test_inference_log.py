"""The inference log as a user meets it: real endpoints, killed and stopped, one process or several."""

import os
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import yaml
from endpoints import Endpoint, serving
from inference_logs import FEATURES, ask, configured, fill, logged, rows
from load import Load, until
from world import GOOD, OTHER_GOOD, World

from lockstep.serving.inference_log.hand_over import is_picked


def workers(endpoint: Endpoint) -> list[int]:
    """Process ids of the workers."""
    children = psutil.Process(endpoint.process.pid).children()
    return [child.pid for child in children if "serve-worker" in child.cmdline()]


def test_the_log_has_every_row_that_was_answered_and_what_was_answered(world: World) -> None:
    answers = fill(world)
    found = logged(world.home / "inference_log")
    assert len(found) == 500
    assert {name: [each["risk"] for each in found if each["request_id"] == name] for name in answers} == answers
    asked = {name: [{f: each[f] for f in FEATURES} for each in found if each["request_id"] == name] for name in answers}
    assert (asked["r3"], asked["other"]) == (rows(72, 300), rows(0, 100))
    assert {each["model_version"] for each in found if each["request_id"] == "other"} == {OTHER_GOOD}
    assert {(each["model_name"], each["model_version"]) for each in found} == {("churn", GOOD), ("churn", OTHER_GOOD)}
    assert {each["edge"] for each in found} == {"invocations", "open_inference"}
    assert all(0 < each["compute_s"] < each["total_s"] and each["queue_s"] >= 0 for each in found)
    assert len({each["log_id"] for each in found}) == 500
    folders = [path.name for path in (world.home / "inference_log" / ".open").iterdir()]
    assert folders == []


def test_a_killed_endpoint_loses_at_most_what_was_not_flushed(world: World, tmp_path: Path) -> None:
    log = tmp_path / "log"
    config = configured(world, path=str(log), flush_s=0.2)
    with serving(world, spec=config) as endpoint:
        for number in range(30):
            ask(endpoint, f"flushed-{number:02d}", number, 5)
        until(lambda: bool(list((log / ".open").glob("*.arrows"))))
        time.sleep(1.5)
        with Load(endpoint, clients=4) as load:
            until(lambda: load.outcomes["200"] > 300)
            endpoint.process.kill()
            endpoint.process.wait()
    assert list(log.rglob("*.parquet")) == []  # not even half of one
    [left] = (log / ".open").iterdir()
    (log / ".open" / left.with_suffix(".partial").name).write_bytes(b"PAR1")  # as if killed while it finished a file
    with serving(world, spec=config) as endpoint:
        until(lambda: len(list(log.rglob("*.parquet"))) == 1 and not (log / ".open" / left.name).exists())
        found = logged(log)
        flushed = [each for each in found if each["request_id"].startswith("flushed")]
        assert [(each["request_id"], each["row"]) for each in flushed] == [
            (f"flushed-{number:02d}", row) for number in range(30) for row in range(5)
        ]
        later = [each["risk"] for each in found if not each["request_id"].startswith("flushed")]
        assert set(later) <= load.answers[str(GOOD)]
        assert len(later) <= load.outcomes["200"] + 4  # some more may have been scored than were answered
        ask(endpoint, "zzz", 0, 3)
        assert endpoint.stop(signal.SIGTERM) == 0
    assert len(logged(log)) == len(found) + 3
    assert list((log / ".open").iterdir()) == []


def test_workers_write_side_by_side_and_one_finishes_what_another_left(world: World, tmp_path: Path) -> None:
    log = tmp_path / "log"
    config = configured(world, workers=2, path=str(log), flush_s=0.1)
    names: list[str] = []
    with serving(world, spec=config) as endpoint, ThreadPoolExecutor(8) as clients:

        def both_write() -> bool:
            names.extend(fresh := [f"r{len(names) + number:04d}" for number in range(40)])
            list(clients.map(lambda name: ask(endpoint, name, 0, 2), fresh))  # each over a connection of its own
            return len(list((log / ".open").glob("*.arrows"))) == 2

        until(both_write, seconds=120)
        time.sleep(1.5)
        before = set(workers(endpoint))
        assert len(before) == 2
        os.kill(min(before), signal.SIGKILL)
        until(lambda: bool(logged(log)), seconds=120)  # the worker in its place has found what it left
        assert len(set(workers(endpoint)) - before) == 1
        assert endpoint.stop(signal.SIGTERM) == 0
    found = logged(log)
    assert [(each["request_id"], each["row"]) for each in found] == [(name, row) for name in names for row in (0, 1)]
    assert len({each["log_id"] for each in found}) == len(found)
    assert len({each["log_id"] >> 24 for each in found}) == 2
    assert len(list(log.rglob("*.parquet"))) == 2


def test_a_sample_has_whole_requests_and_what_has_no_room_is_counted(world: World, tmp_path: Path) -> None:
    log = tmp_path / "log"
    private = world.home / "models" / "churn_private"
    private.mkdir(parents=True)
    spec = yaml.safe_load((world.home / "models" / "churn" / "scoring.yaml").read_text())
    spec |= {"name": "churn_private", "sensitive": ["spend", "segment"]}
    (private / "scoring.yaml").write_text(yaml.safe_dump(spec))
    config = configured(world, model={"spec": "churn_private"}, path=str(log), sample=0.3, waiting_rows=100)
    names = [f"r{number}" for number in range(60)]
    drawn = [name for name in names if is_picked(name, 0.3)]
    with serving(world, spec=config) as endpoint:
        for name in names:
            ask(endpoint, name, 0, 4)
        ask(endpoint, next(f"big{n}" for n in range(99) if is_picked(f"big{n}", 0.3)), 0, 400)
        _, _, text = endpoint.ask("/metrics")
        assert endpoint.stop(signal.SIGTERM) == 0
    found = logged(log)
    dropped = re.search(r'^lockstep_log_dropped_total\{log="inference"\} (\S+)$', text, re.MULTILINE)
    assert dropped is not None
    assert len(found) + float(dropped.group(1)) == 4 * len(drawn) + 400
    assert {each["request_id"] for each in found} <= set(drawn) | {"big0"} | {f"big{n}" for n in range(99)}
    assert all(sum(each["request_id"] == name for each in found) in {0, 4} for name in names)
    assert "age" in found[0]
    assert "spend" not in found[0]  # the spec calls it sensitive, and no policy names it
