"""Replicas behind a gateway, under load: a rolling update and a death, and nobody sees either."""

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from endpoints import JSON
from gateway_load import GrpcLoad
from gateways import KINDS, Replicas, free_ports, gateway, program, replicas
from load import BODY, Load, until
from world import GOOD, OTHER_GOOD, World

REST_CLIENTS, GRPC_CLIENTS = 12, 6
CONFIG = """
grpc_port: 1
models: [{{spec: churn, version: {version}}}]
limits: {{drain_s: 1}}
gateway: {{port: {port}, grpc_port: {grpc_port}}}
"""


def write(world: World, version: int, ports: list[int]) -> Path:
    config = world.home / f"version-{version}.yaml"
    config.write_text(CONFIG.format(version=version, port=ports[0], grpc_port=ports[1]), encoding="utf-8")
    return config


@pytest.fixture(scope="module")
def three(world: World) -> Iterator[Replicas]:
    with replicas(world, write(world, GOOD, free_ports(2)), 3) as running:
        yield running


@pytest.mark.parametrize("kind", KINDS)
def test_a_roll_and_a_death_under_load_fail_nobody(kind: str, three: Replicas, tmp_path: Path) -> None:
    program(kind)
    world, ports = three.world, free_ports(2)
    before = int(three.running[0].ask("/invocations", BODY, JSON)[1]["x-lockstep-model-version"])
    old, new = write(world, before, ports), write(world, OTHER_GOOD if before == GOOD else GOOD, ports)
    expected = {str(before): three.running[0].ask("/invocations", BODY, JSON)[2]["predictions"][0]["risk"]}
    with (
        gateway(kind, old, three.addresses, tmp_path / kind) as gate,
        Load(gate.endpoint, REST_CLIENTS) as rest,
        GrpcLoad(gate, GRPC_CLIENTS) as grpc,
    ):
        until(lambda: rest.outcomes["200"] > 100 and grpc.outcomes["OK"] > 100)
        asked, began = rest.outcomes["200"] + grpc.outcomes["OK"], time.monotonic()
        for place in range(3):
            assert three.running[place].stop(signal.SIGTERM) == 0
            three.start(place, new)
        took, asked = time.monotonic() - began, rest.outcomes["200"] + grpc.outcomes["OK"] - asked
        again = three.running[0].ask("/invocations", BODY, JSON)
        expected[again[1]["x-lockstep-model-version"]] = again[2]["predictions"][0]["risk"]
        three.running[1].process.kill()
        three.running[1].process.wait()
        served = rest.outcomes["200"], grpc.outcomes["OK"]
        until(lambda: rest.outcomes["200"] > served[0] + 100 and grpc.outcomes["OK"] > served[1] + 100)
        three.start(1, new)
    print(f"{kind}: three replicas rolled in {took:.1f} s, {asked} requests answered meanwhile; {rest.outcomes}, {grpc.outcomes}")
    assert rest.outcomes.keys() <= {"200", "broken"}, rest.outcomes
    assert not rest.outcomes["broken"]
    assert grpc.outcomes.keys() == {"OK"}, grpc.outcomes
    assert len(expected) == 2
    assert rest.answers == grpc.answers == {version: {score} for version, score in expected.items()}
    lines = gate.lines()
    assert {line["version"] for line in lines if line["status"] == 200} == set(expected)
    assert sum("," in line["upstream"] or " : " in line["upstream"] for line in lines) > 0 or kind == "envoy"
    assert json.dumps(lines).count('"model": "churn"') == len([line for line in lines if line["status"] == 200])
