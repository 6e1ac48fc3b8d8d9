"""One worker holds the models, the others send it their rows: the same answers, and each may die."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from endpoints import JSON, Endpoint, serving
from load import BODY, MANAGED, Load, until
from test_workers import versions
from world import CONSTANT, GOOD, World


@pytest.fixture(scope="module")
def endpoint(world: World) -> Iterator[Endpoint]:
    config = world.home / "one-copy.yaml"
    config.write_text(f"{MANAGED}copies: one\n", encoding="utf-8")
    with serving(world, "--config", str(config), "--workers", "3", spec=None) as running:
        yield running


def by_index(endpoint: Endpoint) -> dict[int, int]:
    """Process ids of the workers, by their number; the first one is the owner."""
    lines = {child.pid: child.cmdline() for child in psutil.Process(endpoint.process.pid).children()}
    return {int(line[-2]): pid for pid, line in lines.items() if "serve-worker" in line}


def has_torch(pid: int) -> bool:
    return "libtorch" in Path(f"/proc/{pid}/maps").read_text()


def test_only_the_owner_has_the_model_and_all_answer(endpoint: Endpoint) -> None:
    assert {index: has_torch(pid) for index, pid in by_index(endpoint).items()} == {0: True, 1: False, 2: False}
    answers = {json.dumps(endpoint.ask("/invocations", BODY, JSON)[2]) for _ in range(24)}
    assert len(answers) == 1
    assert "predictions" in answers.pop()


def test_a_front_and_the_owner_may_die(endpoint: Endpoint) -> None:
    before = by_index(endpoint)
    for index in (1, 0):
        with Load(endpoint, clients=6) as load:
            until(lambda load=load: load.outcomes["200"] > 100)
            os.kill(before[index], signal.SIGKILL)
            until(lambda index=index: by_index(endpoint).get(index, before[index]) != before[index])
            served = load.outcomes["200"]
            until(lambda load=load, served=served: load.outcomes["200"] > served + 200)
        assert load.outcomes.keys() <= {"200", "503", "broken"}
    until(lambda: {endpoint.ask("/invocations", BODY, JSON)[0] for _ in range(12)} == {200})


def test_all_follow_what_one_is_told(endpoint: Endpoint) -> None:
    until(lambda: versions(endpoint) == {str(GOOD)})
    body = json.dumps({"parameters": {"version": str(CONSTANT)}}).encode()
    assert endpoint.ask("/v2/repository/models/churn/load", body, JSON)[0] == 200
    until(lambda: versions(endpoint) == {str(CONSTANT)})
    assert endpoint.ask("/v2/repository/models/churn/rollback", b"{}", JSON)[0] == 200
    until(lambda: versions(endpoint) == {str(GOOD)})
    assert "Traceback" not in endpoint.log.read_text()
