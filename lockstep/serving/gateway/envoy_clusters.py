"""Who answers behind Envoy, and how it knows who can."""

import ipaddress
from collections.abc import Iterable
from typing import Any

from lockstep.serving.gateway.facts import GatewayFacts
from lockstep.serving.gateway.replicas import Replica

API = "type.googleapis.com/envoy."
PROTOCOLS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
EVERY_S = 1

Part = dict[str, Any]


def clusters(facts: GatewayFacts) -> list[Part]:
    """Return the replicas, and those that get copies, for each protocol."""
    found = []
    for name, replicas in (("", facts.replicas), ("_shadows", facts.shadows)):
        if replicas:
            found.append(_cluster(facts, f"rest{name}", replicas, grpc=False))
            if facts.grpc:
                found.append(_cluster(facts, f"grpc{name}", replicas, grpc=True))
    return found


def _cluster(facts: GatewayFacts, name: str, replicas: Iterable[Replica], *, grpc: bool) -> Part:
    busy = max(1024, facts.serving.limits.connections)
    places = [(each.host, (each.grpc_port or 0) if grpc else each.port) for each in replicas]
    found: Part = {
        "name": name,
        "type": "STATIC" if all(_is_address(host) for host, _ in places) else "STRICT_DNS",
        "connect_timeout": "1s",
        "lb_policy": "LEAST_REQUEST",
        # However few are ready, who is not gets nothing.
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "circuit_breakers": {
            "thresholds": [
                {"max_connections": busy, "max_pending_requests": busy, "max_requests": busy, "max_retries": busy}
            ]
        },
        "health_checks": [_check(grpc=grpc)],
        "outlier_detection": _unreachable(),
        "typed_extension_protocol_options": {PROTOCOLS: _protocol(facts, grpc=grpc)},
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [_place(host, port) for host, port in places]}],
        },
    }
    if facts.serving.security.tls is not None:
        found["transport_socket"] = _tls(facts, grpc=grpc)
    return found


def _place(host: str, port: int) -> Part:
    address = host.removeprefix("[").removesuffix("]")
    return {"endpoint": {"address": {"socket_address": {"address": address, "port_value": port}}}}


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def _check(*, grpc: bool) -> Part:
    """Ask each replica whether it is ready; one that drains says no, and is asked nothing more."""
    asked = {"grpc_health_check": {}} if grpc else {"http_health_check": {"path": "/v2/health/ready"}}
    return {
        "timeout": f"{EVERY_S}s",
        "interval": f"{EVERY_S}s",
        "no_traffic_interval": f"{EVERY_S}s",
        "interval_jitter": "0.200s",
        "unhealthy_threshold": 2,
        "healthy_threshold": 1,
        **asked,
    }


def _unreachable() -> Part:
    """Leave out who cannot be connected to until health is asked for again; what replicas answer counts for nothing."""
    return {
        "split_external_local_origin_errors": True,
        "consecutive_local_origin_failure": 2,
        "base_ejection_time": "2s",
        "max_ejection_time": "2s",
        "interval": "1s",
        "max_ejection_percent": 67,
        "enforcing_consecutive_5xx": 0,
        "enforcing_consecutive_gateway_failure": 0,
        "enforcing_success_rate": 0,
        "enforcing_local_origin_success_rate": 0,
    }


def _protocol(facts: GatewayFacts, *, grpc: bool) -> Part:
    if grpc:
        kept = {"connection_keepalive": {"interval": "30s", "timeout": "5s"}}
        explicit: Part = {"http2_protocol_options": kept}
        idle = facts.timeout_ms + 60_000
    else:
        explicit = {"http_protocol_options": {}}
        idle = facts.idle_ms
    return {
        "@type": API + "extensions.upstreams.http.v3.HttpProtocolOptions",
        "common_http_protocol_options": {"idle_timeout": f"{idle / 1000:.3f}s"},
        "explicit_http_config": explicit,
    }


def _tls(facts: GatewayFacts, *, grpc: bool) -> Part:
    told = facts.gateway.replicas_tls
    assert told is not None  # noqa: S101 - checked before
    common: Part = {
        "alpn_protocols": ["h2"] if grpc else ["http/1.1"],
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"},
        "validation_context": {
            "trusted_ca": {"filename": facts.path(told.ca)},
            "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": told.name}}],
        },
    }
    if told.certificate is not None and told.key is not None:
        common["tls_certificates"] = [
            {
                "certificate_chain": {"filename": facts.path(told.certificate)},
                "private_key": {"filename": facts.path(told.key)},
            }
        ]
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": API + "extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "sni": told.name,
            "common_tls_context": common,
        },
    }
