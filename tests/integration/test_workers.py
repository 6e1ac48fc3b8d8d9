"""Several workers behind one port: one that dies costs its running requests only, and all serve the same version."""

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator

import psutil
import pytest
from endpoints import JSON, Endpoint, serving
from load import BODY, Load, managed, until
from prometheus_client.parser import text_string_to_metric_families
from world import CONSTANT, GOOD, World


@pytest.fixture(scope="module")
def endpoint(world: World) -> Iterator[Endpoint]:
    with managed(world, "--workers", "2") as running:
        yield running


def workers(endpoint: Endpoint) -> list[int]:
    """Process ids of the workers."""
    found = []
    for child in psutil.Process(endpoint.process.pid).children():
        with contextlib.suppress(psutil.Error):  # one that ended, or is a zombie still
            if "serve-worker" in child.cmdline():
                found.append(child.pid)
    return sorted(found)


def requests_counted(endpoint: Endpoint) -> float:
    _, _, text = endpoint.ask("/metrics")
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return sum(s.value for s in samples if s.name == "lockstep_requests_total" and s.labels["edge"] == "invocations")


def versions(endpoint: Endpoint, connections: int = 12) -> set[str]:
    """Versions that answer; new connections, so that every worker gets some."""
    return {endpoint.ask("/invocations", BODY, JSON)[1]["x-lockstep-model-version"] for _ in range(connections)}


def test_a_killed_worker_costs_its_running_requests_and_is_started_again(endpoint: Endpoint) -> None:
    before = workers(endpoint)
    assert len(before) == 2
    counted = requests_counted(endpoint)
    with Load(endpoint, clients=8) as load:
        until(lambda: load.outcomes["200"] > 200)
        time.sleep(1.5)  # so that its numbers are written down
        os.kill(before[0], signal.SIGKILL)
        until(lambda: len(set(workers(endpoint)) - set(before)) == 1)
        served = load.outcomes["200"]
        until(lambda: load.outcomes["200"] > served + 200)
    assert load.outcomes.keys() <= {"200", "broken"}
    assert load.outcomes["broken"] <= 8
    fresh = set(workers(endpoint)) - set(before)
    assert len(fresh) == 1
    until(lambda: requests_counted(endpoint) >= counted + 0.5 * load.outcomes["200"])


def test_what_one_worker_is_told_all_do(endpoint: Endpoint) -> None:
    until(lambda: versions(endpoint) == {str(GOOD)})
    body = json.dumps({"parameters": {"version": str(CONSTANT)}}).encode()
    assert endpoint.ask("/v2/repository/models/churn/load", body, JSON)[0] == 200
    until(lambda: versions(endpoint) == {str(CONSTANT)})
    os.kill(workers(endpoint)[0], signal.SIGKILL)
    time.sleep(0.5)
    until(lambda: len(workers(endpoint)) == 2)
    time.sleep(4)
    assert versions(endpoint) == {str(CONSTANT)}
    status, _, answer = endpoint.ask("/v2/repository/models/churn/rollback", b"{}", JSON)
    if status == 200:  # a worker that was started meanwhile has nothing to go back to
        assert answer["version"] == str(GOOD)
        until(lambda: versions(endpoint) == {str(GOOD)})
    else:
        assert status == 409


def test_they_all_stop_together(world: World) -> None:
    with serving(world, "--workers", "2") as running:
        pids = workers(running)
        assert running.ask("/invocations", BODY, JSON)[0] == 200
        assert running.stop(signal.SIGTERM) == 0
        assert not any(psutil.pid_exists(pid) for pid in pids)
        assert "Traceback" not in running.log.read_text()


def test_a_worker_that_cannot_start_ends_it_all_with_its_exit_code(world: World) -> None:
    done = world.run("serve", "churn", "--port", "0", "--workers", "2", "--alias", "nobody")
    assert done.returncode == 5
    assert "has no alias 'nobody'" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
