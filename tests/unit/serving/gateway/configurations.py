"""Gateways from a few keys of a serving.yaml."""

from pathlib import Path
from typing import Any

from lockstep.serving.gateway.facts import GatewayFacts, gateway_facts
from lockstep.specs.serving_spec import Serving

REPLICAS = ("10.0.0.1", "10.0.0.2:9000:9001")
TLS = {"certificate": "own.pem", "key": "own.key"}


def serving(**facts: Any) -> Serving:
    return Serving.model_validate({"models": [{"spec": "a", "slo_ms": 200}], "grpc_port": 8081, **facts})


def facts_of(*replicas: str, output: Path = Path("/etc/gateway"), **facts: Any) -> GatewayFacts:
    config = Path("/etc/lockstep/serving.yaml")
    return gateway_facts(serving(**facts), replicas or REPLICAS, config=config, output=output)
