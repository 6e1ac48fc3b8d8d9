"""What Envoy passes on, to whom, and how often it tries."""

from typing import Any

from lockstep.serving.gateway.envoy_limits import unbuffered, unlimited
from lockstep.serving.gateway.facts import GatewayFacts
from lockstep.serving.gateway.paths import GRPC, REST, Passed

API = "type.googleapis.com/envoy."
STREAM_S = 3600
# Another replica is drawn until it is another one: of two, each draw is the lost one again half of the time.
DRAWS = 64

Part = dict[str, Any]


def rest_routes(facts: GatewayFacts) -> list[Part]:
    """Return the routes of REST."""
    return _routes(facts, REST, "rest")


def grpc_routes(facts: GatewayFacts) -> list[Part]:
    """Return the routes of gRPC."""
    return _routes(facts, GRPC, "grpc")


def _routes(facts: GatewayFacts, passed: Passed, cluster: str) -> list[Part]:
    route, free = _route(facts, cluster, repeats=True), unlimited(facts)
    found = [
        _matching(passed.scored, route=route | _mirrored(facts, cluster)),
        _matching(passed.read, route=route),
        _matching(passed.open, route=route, typed_per_filter_config=free),
    ]
    if passed.streams:
        stream = _route(facts, cluster, repeats=False) | {"timeout": "0s", "idle_timeout": f"{STREAM_S}s"}
        found.append(_matching(passed.streams, route=stream, typed_per_filter_config=unbuffered()))
    found.append(_matching(passed.refused, direct_response={"status": 403}, typed_per_filter_config=free))
    rest = {"match": {"prefix": "/"}, "direct_response": {"status": 404}, "typed_per_filter_config": free}
    return [{key: value for key, value in each.items() if value} for each in (*found, rest)]


def _matching(regex: str, **what: Part) -> Part:
    return {"match": {"safe_regex": {"regex": regex}}, **what}


def _route(facts: GatewayFacts, cluster: str, *, repeats: bool) -> Part:
    unsent = "connect-failure,refused-stream"
    sent = "reset" if facts.gateway.repeat == "lost" and repeats else "reset-before-request"
    return {
        "cluster": cluster,
        "timeout": f"{facts.timeout_ms / 1000:.3f}s",
        "retry_policy": {
            "retry_on": f"{unsent},{sent}",
            "num_retries": max(facts.tries - 1, 1),
            "retry_host_predicate": [
                {
                    "name": "envoy.retry_host_predicates.previous_hosts",
                    "typed_config": {"@type": API + "extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"},
                }
            ],
            "host_selection_retry_max_attempts": DRAWS,
            "retry_back_off": {"base_interval": "0.005s", "max_interval": "0.050s"},
        },
    }


def _mirrored(facts: GatewayFacts, cluster: str) -> Part:
    mirror = facts.gateway.mirror
    if mirror is None:
        return {}
    share = {"numerator": round(mirror.share * 1_000_000), "denominator": "MILLION"}
    policy = {
        "cluster": f"{cluster}_shadows",
        "runtime_fraction": {"default_value": share},
        "disable_shadow_host_suffix_append": True,
    }
    return {"request_mirror_policies": [policy]}
