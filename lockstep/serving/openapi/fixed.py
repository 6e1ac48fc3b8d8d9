"""Schemas that depend on no model."""

from lockstep.serving.exchange import JSON
from lockstep.serving.openapi.responses import answered
from lockstep.serving.openapi.values import Schema

TEXT: Schema = {"type": "string"}
ANY_OBJECT: Schema = {"type": "object"}
NOTHING: Schema = {"type": "object", "additionalProperties": False}


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}


SERVER = _object(name={"const": "lockstep"}, version=TEXT, extensions={"type": "array", "items": TEXT})
LIVE = _object(live={"const": True})
READY = _object(ready={"const": True}, live={"const": True})
MODEL_READY = _object(name=TEXT, ready={"const": True})
STUCK = answered("A model is stuck.", {JSON: _object(error=TEXT, live={"const": False})})
UNREADY = answered(
    "Stopping, or a model is not loaded.", {JSON: _object(error=TEXT, ready={"const": False}, live={"const": True})}
)
NOT_SERVING = answered("They are not.", {JSON: {}})

INDEX: Schema = {
    "type": "array",
    "items": _object(name=TEXT, version=TEXT, state={"enum": ["READY", "UNAVAILABLE"]}, reason=TEXT),
}
INDEX_REQUEST: Schema = {
    "type": "object",
    "properties": {"ready": {"type": "boolean", "description": "Leave out models without a loaded version."}},
}
ROLLED_BACK = _object(name=TEXT, version={"type": "string", "pattern": "^[0-9]+$"})
CANARY_REQUEST = _object(
    reason={"type": "string", "minLength": 1, "maxLength": 500, "pattern": "\\S", "description": "Why; it is kept."}
)
CANARY_DECIDED = _object(
    name=TEXT,
    alias=TEXT,
    version={"type": "string", "pattern": "^[0-9]+$"},
    state={"enum": ["aborted", "resumed"]},
)
LOAD_REQUEST: Schema = {
    "type": "object",
    "properties": {
        "parameters": {
            "type": ["object", "null"],
            "properties": {
                "version": {
                    "anyOf": [
                        {"type": "string", "pattern": "^[0-9]{1,18}$"},
                        {"type": "integer", "minimum": 0, "maximum": 10**18 - 1},
                        {"type": "null"},
                    ],
                    "description": "Of the model; none: that of the alias, which is followed then.",
                }
            },
            "additionalProperties": False,
        }
    },
}
