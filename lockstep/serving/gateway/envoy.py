"""The configuration of Envoy, 1.40 or newer: what it listens on, and how a request goes through it."""

from collections.abc import Mapping
from typing import Any

import yaml

from lockstep.errors import SpecError
from lockstep.serving.gateway.envoy_clusters import clusters
from lockstep.serving.gateway.envoy_limits import body_filter, rate_filter
from lockstep.serving.gateway.envoy_routes import grpc_routes, rest_routes
from lockstep.serving.gateway.envoy_words import access_log, local_replies
from lockstep.serving.gateway.facts import GatewayFacts
from lockstep.serving.gateway.messages import STRIPPED

FILE = "envoy.yaml"
HEAD = """\
# Made by `lockstep gateway envoy` from a serving.yaml: change that, and render this again. docs/gateway.md explains it.
# Run it in this folder, where its log is written:  envoy -c envoy.yaml --disable-hot-restart

"""
API = "type.googleapis.com/envoy."
HEAD_KIB = 64

Part = dict[str, Any]


def render_envoy(facts: GatewayFacts) -> Mapping[str, str]:
    """Return the files of the gateway by their names.

    Raises:
        SpecError: It asks for what Envoy cannot do.
    """
    if facts.gateway.connections is not None:
        raise SpecError("gateway.connections", ["Envoy does not bound the connections of an address; nginx does"])
    listeners = [_listener(facts, "rest", port=facts.gateway.port)]
    if facts.grpc:
        listeners.append(_listener(facts, "grpc", port=facts.gateway.grpc_port))
    whole = {"static_resources": {"listeners": listeners, "clusters": clusters(facts)}}
    return {FILE: HEAD + yaml.safe_dump(whole, sort_keys=False, width=120, allow_unicode=True)}


def seconds(value: float) -> str:
    """Write a duration as protobuf's JSON has it."""
    return f"{value:.3f}s"


def _listener(facts: GatewayFacts, name: str, *, port: int) -> Part:
    routes = grpc_routes(facts) if name == "grpc" else rest_routes(facts)
    chain: Part = {
        "filters": [
            {"name": "envoy.filters.network.http_connection_manager", "typed_config": _manager(facts, name, routes)}
        ]
    }
    if facts.gateway.tls is not None:
        chain["transport_socket"] = _tls(facts, name)
    host = facts.listen_host.removeprefix("[").removesuffix("]")
    return {
        "name": name,
        "address": {"socket_address": {"address": host, "port_value": port}},
        "per_connection_buffer_limit_bytes": 2**20,
        "filter_chains": [chain],
    }


def _manager(facts: GatewayFacts, name: str, routes: list[Part]) -> Part:
    limits = facts.serving.limits
    filters = [*rate_filter(facts), body_filter(facts, name), _typed("http", "router", "router.v3.Router")]
    found: Part = {
        "@type": API + "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "server_name": "gateway",
        # What is not normal is made so before it is looked at, or refused: no path gets past the routes in disguise.
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "max_request_headers_kb": HEAD_KIB,
        "common_http_protocol_options": {
            "idle_timeout": seconds(limits.idle_s),
            "headers_with_underscores_action": "DROP_HEADER",
        },
        "http2_protocol_options": {"max_concurrent_streams": max(128, limits.in_progress)},
        "request_headers_timeout": seconds(limits.idle_s),
        "stream_idle_timeout": seconds(facts.timeout_ms / 1000 + limits.body_timeout_s),
        "preserve_external_request_id": True,
        "always_set_request_id_in_response": True,
        "request_id_extension": {
            "typed_config": {
                "@type": API + "extensions.request_id.uuid.v3.UuidRequestIdConfig",
                "pack_trace_reason": False,
            }
        },
        **_addresses(facts),
        "early_header_mutation_extensions": [_stripping(facts)],
        "access_log": [access_log(grpc=name == "grpc")],
        "local_reply_config": local_replies(facts, grpc=name == "grpc"),
        "http_filters": filters,
        "route_config": {
            "name": name,
            "virtual_hosts": [{"name": name, "domains": ["*"], "routes": routes}],
        },
    }
    if name == "rest":
        # For the whole request; calls of gRPC may be streams, which take long.
        found["request_timeout"] = seconds(limits.body_timeout_s)
    return found


def _addresses(facts: GatewayFacts) -> Part:
    """Return whom to believe where a client is."""
    networks = facts.gateway.trusted_proxies
    if not networks:
        return {"use_remote_address": True}
    cidrs = [{"address_prefix": each.split("/")[0], "prefix_len": int(each.split("/")[1])} for each in networks]
    return {
        "original_ip_detection_extensions": [
            {
                "name": "envoy.http.original_ip_detection.xff",
                "typed_config": {
                    "@type": API + "extensions.http.original_ip_detection.xff.v3.XffConfig",
                    "xff_trusted_cidrs": {"cidrs": cidrs},
                },
            }
        ]
    }


def _stripping(facts: GatewayFacts) -> Part:
    """Return what throws away what clients say about where they come from."""
    names = [*STRIPPED, "X-Forwarded-Host", "X-Envoy-Expected-Rq-Timeout-Ms", "X-Envoy-Upstream-Rq-Timeout-Ms"]
    names += [
        "X-Envoy-Upstream-Rq-Per-Try-Timeout-Ms",
        "X-Envoy-Retry-On",
        "X-Envoy-Retry-Grpc-On",
        "X-Envoy-Max-Retries",
    ]
    if not facts.gateway.trusted_proxies:
        names += ["X-Forwarded-For", "X-Forwarded-Proto"]
    return {
        "name": "envoy.http.early_header_mutation.header_mutation",
        "typed_config": {
            "@type": API + "extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
            "mutations": [{"remove": name.lower()} for name in names],
        },
    }


def _tls(facts: GatewayFacts, name: str) -> Part:
    tls = facts.gateway.tls
    assert tls is not None  # noqa: S101 - asked for with one only
    common: Part = {
        "tls_params": {"tls_minimum_protocol_version": f"TLSv{tls.minimum.replace('.', '_')}"},
        "tls_certificates": [
            {
                "certificate_chain": {"filename": facts.path(tls.certificate)},
                "private_key": {"filename": facts.path(tls.key)},
            }
        ],
        "alpn_protocols": ["h2"] if name == "grpc" else ["h2", "http/1.1"],
    }
    if tls.clients_ca is not None:
        common["validation_context"] = {"trusted_ca": {"filename": facts.path(tls.clients_ca)}}
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": API + "extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "require_client_certificate": tls.clients_ca is not None,
            "common_tls_context": common,
        },
    }


def _typed(kind: str, name: str, message: str) -> Part:
    return {
        "name": f"envoy.filters.{kind}.{name}",
        "typed_config": {"@type": f"{API}extensions.filters.{kind}.{message}"},
    }
