"""What a span says of its request, by OpenTelemetry's semantic conventions for HTTP and for RPC."""

from dataclasses import dataclass
from typing import Final

from lockstep.serving.trace import Trace

Value = str | int | float | bool
# Methods that may stand in a span; others are counted as one, since anybody may send any word.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})
OTHER_METHOD: Final = "_OTHER"
LONGEST = 200
FAULTS = 500
OK: Final = "OK"
# Statuses of a call for which a server's span counts as failed; the others are the client's doing.
RPC_FAULTS = frozenset({"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"})


@dataclass(frozen=True, slots=True)
class Facts:
    """What a span says.

    Attributes:
        name: Of the span: few different ones.
        attributes: By the names of the conventions, and ours below `lockstep.`.
        failed: Whether the request failed through a fault of the endpoint.
    """

    name: str
    attributes: dict[str, Value]
    failed: bool


def http_facts(trace: Trace, method: str, path: str, *, route: str | None, status: int, scheme: str) -> Facts:
    """Say what a request over HTTP was.

    Args:
        trace: Of the request.
        method: As it was sent.
        path: Without its query, which may hold anything.
        route: The pattern that the path fits; none: it fits none.
        status: Of the answer.
        scheme: `http` or `https`.
    """
    known = method if method in METHODS else OTHER_METHOD
    found: dict[str, Value] = {
        "http.request.method": known,
        "http.response.status_code": status,
        "url.path": path[:LONGEST],
        "url.scheme": scheme,
        **_ours(trace),
    }
    if known is OTHER_METHOD:
        found["http.request.method_original"] = method[:LONGEST]
    if route is not None:
        found["http.route"] = route
    failed = status >= FAULTS
    if failed:
        found["error.type"] = str(status)
    named = "HTTP" if known is OTHER_METHOD else known
    return Facts(f"{named} {route}" if route is not None else named, found, failed)


def rpc_facts(trace: Trace, method: str, *, code: str) -> Facts:
    """Say what a call over gRPC was.

    Args:
        trace: Of the call.
        method: Full name, with a slash before it.
        code: Name of the status.
    """
    name = method.removeprefix("/")
    found: dict[str, Value] = {
        "rpc.system.name": "grpc",
        "rpc.method": name,
        "rpc.response.status_code": code,
        **_ours(trace),
    }
    if code != OK:
        found["error.type"] = code
    return Facts(name, found, code in RPC_FAULTS)


def _ours(trace: Trace) -> dict[str, Value]:
    found: dict[str, Value] = {"lockstep.request_id": trace.request_id, "lockstep.edge": trace.edge}
    if trace.model:
        found |= {"lockstep.model": trace.model, "lockstep.version": trace.version, "lockstep.rows": trace.rows}
    if trace.arm:
        found["lockstep.arm"] = trace.arm
    return found
