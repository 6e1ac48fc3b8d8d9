"""The rendered examples of `deploy/gateway`, against what makes them."""

from pathlib import Path

import pytest

from lockstep.serving.gateway.envoy import render_envoy
from lockstep.serving.gateway.facts import GatewayFacts, gateway_facts
from lockstep.serving.gateway.nginx import render_nginx
from lockstep.specs.serving_spec import load_serving

FOLDER = Path(__file__).parents[3] / "deploy" / "gateway"
REPLICAS = ("192.0.2.11", "192.0.2.12", "192.0.2.13")


@pytest.fixture(scope="module")
def facts() -> GatewayFacts:
    config = FOLDER / "serving.yaml"
    return gateway_facts(load_serving(config), REPLICAS, config=config, output=FOLDER)


@pytest.mark.parametrize("render", [render_nginx, render_envoy])
def test_the_examples_are_current(facts: GatewayFacts, render: object) -> None:
    assert callable(render)
    for name, text in render(facts).items():
        again = f"render deploy/gateway/{name} again: the head of deploy/gateway/serving.yaml says how"
        assert (FOLDER / name).read_text(encoding="utf-8") == text, again
