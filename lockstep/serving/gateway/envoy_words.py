"""What Envoy says itself, and what it writes down."""

from typing import Any

from lockstep.serving.gateway.facts import GatewayFacts
from lockstep.serving.gateway.messages import RETRY_S, Refusal, refusals

API = "type.googleapis.com/envoy."
# Its statuses; what it says of certificates is an alert of TLS, and no answer.
OCCASIONS = {
    400: "bad_request",
    403: "not_here",
    404: "unknown",
    408: "slow",
    413: "too_large",
    429: "rate",
    431: "head",
    500: "internal",
    502: "no_replica",
    503: "no_replica",
    504: "late",
}

Part = dict[str, Any]


def local_replies(facts: GatewayFacts, *, grpc: bool) -> Part:
    """Return the words for Envoy's own answers; over gRPC they become the message of a status."""
    said = refusals(facts)
    mappers = []
    for status, name in OCCASIONS.items():
        if grpc:
            mappers.append(_mapper(_status(status), said[name], said[name].text, kind="text/plain"))
            continue
        v2 = {"and_filter": {"filters": [_status(status), _path_begins("/v2")]}}
        mappers.append(_mapper(v2, said[name], said[name].v2, kind="application/json"))
        mappers.append(_mapper(_status(status), said[name], said[name].mlflow, kind="application/json"))
    return {"mappers": mappers}


def _mapper(which: Part, refusal: Refusal, text: str, *, kind: str) -> Part:
    form = {"text_format_source": {"inline_string": text.replace("%", "%%")}, "content_type": kind}
    found: Part = {"filter": which, "body_format_override": form}
    if refusal.again and kind != "text/plain":
        header = {"key": "retry-after", "value": str(RETRY_S)}
        found["headers_to_add"] = [{"header": header, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}]
    return found


def _status(status: int) -> Part:
    # Envoy asks for a name under which the figure could be changed; nothing here changes it.
    value = {"default_value": status, "runtime_key": f"lockstep.status_{status}"}
    return {"status_code_filter": {"comparison": {"op": "EQ", "value": value}}}


def _path_begins(prefix: str) -> Part:
    return {"header_filter": {"header": {"name": ":path", "string_match": {"prefix": prefix}}}}


def access_log(*, grpc: bool) -> Part:
    """Return the log: JSON, without bodies, query strings and credentials."""
    told = "TRAILER" if grpc else "RESP"
    fields = {
        "time": "%START_TIME%",
        "event": "request",
        "protocol": "grpc" if grpc else "rest",
        "method": "%REQ(:METHOD)%",
        "path": "%PATH(NQ:ORIG)%",
        "status": "%RESPONSE_CODE%",
        "ms": "%DURATION%",
        "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
        "bytes_in": "%BYTES_RECEIVED%",
        "bytes_out": "%BYTES_SENT%",
        "id": "%REQ(X-REQUEST-ID):128%",
        "traceparent": "%REQ(TRACEPARENT):55%",
        "model": f"%{told}(X-LOCKSTEP-MODEL-NAME)%",
        "version": f"%{told}(X-LOCKSTEP-MODEL-VERSION)%",
        "arm": f"%{told}(X-LOCKSTEP-ARM)%",
        "upstream": "%UPSTREAM_HOST%",
        "tries": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
        "flags": "%RESPONSE_FLAGS%",
        "tls": "%DOWNSTREAM_TLS_VERSION%",
    }
    if grpc:
        fields["grpc_status"] = "%GRPC_STATUS_NUMBER%"
    return {
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": API + "extensions.access_loggers.file.v3.FileAccessLog",
            "path": "access.log",
            "log_format": {"json_format": fields},
        },
    }
