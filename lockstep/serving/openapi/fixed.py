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
STATUS = _object(
    server=ANY_OBJECT,
    requests=ANY_OBJECT,
    dropped={"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}},
    models={"type": "array", "items": ANY_OBJECT},
)
ROLLED_BACK = _object(name=TEXT, version={"type": "string", "pattern": "^[0-9]+$"})
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
