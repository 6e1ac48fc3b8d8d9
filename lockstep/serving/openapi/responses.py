"""Responses that operations share: errors in each protocol's form, and the headers of answers."""

from collections.abc import Sequence
from typing import Any

from lockstep.serving import invocations, open_inference
from lockstep.serving.exchange import JSON
from lockstep.serving.openapi.values import Schema

WHOLE: Schema = {"type": "string", "pattern": "^[0-9]+$"}
HEADERS: dict[str, dict[str, Any]] = {
    "X-Request-Id": {
        "description": "The client's when it sent a safe one (letters, digits, `._:-`, at most 128), else a new one.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,128}$"},
    },
    "X-Lockstep-Model-Name": {"description": "Who answered.", "required": True, "schema": {"type": "string"}},
    "X-Lockstep-Model-Version": {"description": "Its version.", "required": True, "schema": WHOLE},
    "X-Lockstep-Model-Digest": {
        "description": "SHA-256 of its files.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    },
    "X-Lockstep-Arm": {
        "description": "Of a model with a trial: `champion`, or the alias of the challenger that answered.",
        "schema": {"type": "string"},
    },
    "Server-Timing": {
        "description": "Milliseconds of the stages decode, queue, compute and encode.",
        "required": True,
        "schema": {"type": "string"},
    },
    "Inference-Header-Content-Length": {
        "description": "With binary tensors: bytes of JSON before them.",
        "schema": WHOLE,
    },
    "Retry-After": {"description": "Seconds until the request is worth another try.", "schema": WHOLE},
    "WWW-Authenticate": {"description": "What credentials are expected.", "schema": {"type": "string"}},
}
MODEL_HEADERS = ("X-Lockstep-Model-Name", "X-Lockstep-Model-Version", "X-Lockstep-Model-Digest")
SCORE_HEADERS = (*MODEL_HEADERS, "X-Lockstep-Arm", "Server-Timing")

FAILURES: dict[int, str] = {
    400: "The request does not fit the protocol or the signature.",
    401: "Credentials are missing or not accepted.",
    403: "The client may not do this.",
    404: "No such model or version is served.",
    408: "The body did not arrive in time.",
    409: "The registry cannot give the version, or there is none to go back to; what answered before still does.",
    413: "The body is larger than the limit.",
    415: "Content type, charset or compression is not supported.",
    429: "The client asks for more than its share.",
    500: "The model has no finite score for some row, or a bug, which the server's log has under the request id.",
    503: "Too much to do, or not ready; see Retry-After.",
    504: "The deadline that the client set passed, or would pass before the answer.",
}
FAILURE_HEADERS = {401: ("WWW-Authenticate",), 429: ("Retry-After",), 503: ("Retry-After",)}
# The form of an error, by the edge of a route.
MLFLOW_ERROR, INFERENCE_ERROR = "MlflowError", "InferenceError"
ERROR_SCHEMAS: dict[str, Schema] = {
    MLFLOW_ERROR: {
        "type": "object",
        "properties": {
            "error_code": {"enum": sorted({*invocations.ERROR_CODES.values(), "BAD_REQUEST"})},
            "message": {"type": "string", "minLength": 1},
        },
        "required": ["error_code", "message"],
        "additionalProperties": False,
    },
    INFERENCE_ERROR: {
        "type": "object",
        "properties": {"error": {"type": "string", "minLength": 1}},
        "required": ["error"],
        "additionalProperties": False,
    },
}


def answered(description: str, content: dict[str, Schema], headers: Sequence[str] = ()) -> Schema:
    """Describe a response.

    Args:
        description: For a person.
        content: Media types, each with its schema; an empty schema leaves the body open.
        headers: Names, beside the request id's.
    """
    described = {name: {"$ref": f"#/components/headers/{name}"} for name in ("X-Request-Id", *headers)}
    bodies = {kind: {"schema": schema} if schema else {} for kind, schema in content.items()}
    return {"description": description, "headers": described, "content": bodies}


def error_responses() -> dict[str, Schema]:
    """Describe every error in both forms, for the document's components."""
    return {
        _title(status, form): answered(
            description, {JSON: _reference("schemas", form)}, FAILURE_HEADERS.get(status, ())
        )
        for form in ERROR_SCHEMAS
        for status, description in FAILURES.items()
    }


def failures(statuses: Sequence[int], *, edge: str) -> dict[str, Schema]:
    """Refer to the errors that an operation may answer with."""
    form = INFERENCE_ERROR if edge == open_inference.EDGE else MLFLOW_ERROR
    return {str(status): _reference("responses", _title(status, form)) for status in statuses}


def _title(status: int, form: str) -> str:
    return f"{form}.{status}"


def _reference(kind: str, name: str) -> Schema:
    return {"$ref": f"#/components/{kind}/{name}"}
