"""What Envoy says itself, and what it writes down."""

from collections.abc import Mapping
from typing import Any

from lockstep.serving.gateway.facts import GatewayFacts
from lockstep.serving.gateway.messages import RETRY_S, refusals

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
            code = {"grpc-status": str(said[name].code)}
            mappers.append(_mapper(_status(status), said[name].text, kind="text/plain", headers=code))
            continue
        again = {"retry-after": str(RETRY_S)} if said[name].again else {}
        v2 = {"and_filter": {"filters": [_status(status), _path_begins("/v2")]}}
        for which, text in ((v2, said[name].v2), (_status(status), said[name].mlflow)):
            mappers.append(_mapper(which, text, kind="application/json", headers=again))
    return {"mappers": mappers}


def _mapper(which: Part, text: str, *, kind: str, headers: Mapping[str, str]) -> Part:
    form = {"text_format_source": {"inline_string": text.replace("%", "%%")}, "content_type": kind}
    found: Part = {"filter": which, "body_format_override": form}
    if headers:
        found["headers_to_add"] = [
            {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
            for key, value in headers.items()
        ]
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
        "path": "%PATH(NQ)%",
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
