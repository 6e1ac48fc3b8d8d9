"""The configuration of Envoy."""

from collections.abc import Mapping

from lockstep.serving.gateway.facts import GatewayFacts

FILE = "envoy.yaml"


def render_envoy(facts: GatewayFacts) -> Mapping[str, str]:
    """Return the files of the gateway by their names."""
    return {FILE: "{}\n"}
