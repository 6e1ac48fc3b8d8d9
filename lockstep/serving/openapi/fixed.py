"""Schemas that depend on no model."""

from lockstep.serving.exchange import JSON
from lockstep.serving.openapi.responses import answered
from lockstep.serving.openapi.values import Schema
from lockstep.serving.routing.edge import WORDS

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

_DAY: Schema = {"type": ["string", "null"], "format": "date"}
_ORIGIN = _object(
    as_of={"type": "string", "format": "date"},
    age_s={"type": "number"},
    published_at={"type": "string", "format": "date-time"},
    model_name=TEXT,
    model_version={"type": "integer"},
    model_digest=TEXT,
    run_key=TEXT,
)
LOOKUP = _object(
    rows={
        "type": "array",
        "items": _object(
            state={"enum": ["found", "stale", "missing"]},
            prediction={"type": ["object", "null"], "description": "The columns of `online:`; null unless found."},
            origin={"anyOf": [_ORIGIN, {"type": "null"}]},
        ),
    }
)
LOOKUP_REQUEST: Schema = {
    "type": "object",
    "properties": {
        "keys": {
            "description": "Values by key column, or an object for each row; 1 to 1000 keys.",
            "anyOf": [
                {"type": "object", "additionalProperties": {"type": "array"}, "minProperties": 1},
                {"type": "array", "items": {"type": "object", "minProperties": 1}, "minItems": 1, "maxItems": 1000},
            ],
        },
        "as_of": {**_DAY, "description": "The newest published day up to this one counts; none: the newest."},
        "max_age_s": {"type": ["number", "null"], "minimum": 0, "description": "Older predictions are stale."},
    },
    "required": ["keys"],
    "additionalProperties": False,
}

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
CANARY_REQUEST = _object(
    reason={"type": "string", "minLength": 1, "maxLength": 500, "pattern": WORDS, "description": "Why; it is kept."}
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
