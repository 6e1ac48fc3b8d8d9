"""Schemas of the Open Inference Protocol for one model: its tensors, inference requests and responses, metadata."""

import math
from typing import Any

from lockstep.run.plan import Column, ModelIdentity
from lockstep.scoring.certificate import PROPERTIES
from lockstep.scoring.signature import Signature
from lockstep.serving.expiry import PARAMETER as TIMEOUT
from lockstep.serving.infer_binary import ALL_WANTED, SIZE, WANTED
from lockstep.serving.openapi.values import Schema, element_schema, example, in_shape, nullable, or_null
from lockstep.serving.tensors import DATATYPES, datatype_of

TEXT: Schema = {"type": "string"}
MICROSECONDS: Schema = {
    "anyOf": [{"type": "integer", "minimum": 0}, {"type": "null"}],
    "description": "Microseconds in which the answer is wanted; later it is 504. 0: any time.",
}
ROWS: Schema = {"type": "integer", "minimum": 0}


def infer_request_schema(signature: Signature) -> Schema:
    """Describe the JSON of an inference request; its tensors may come in any order."""
    inputs = sorted(signature.inputs, key=lambda column: not column.required)
    required = sum(column.required for column in inputs)
    tensors = {
        "type": "array",
        "prefixItems": [tensor_schema(column) for column in inputs],
        "minItems": required,
        "maxItems": len(inputs),
        "description": "One tensor for each input, in any order; all have the same number of rows.",
    }
    names = [output.name for output in signature.outputs]
    return {
        "type": "object",
        "properties": {
            "id": {"type": ["string", "null"], "description": "Comes back in the answer."},
            "parameters": _parameters({ALL_WANTED: _wish("Answer with binary tensors."), TIMEOUT: MICROSECONDS}),
            "inputs": tensors,
            "outputs": {
                "type": ["array", "null"],
                "items": _requested_output(names),
                "uniqueItems": True,
                "maxItems": len(names),
                "description": "Wanted outputs, each once; none: all.",
            },
        },
        "required": ["inputs"],
    }


def _requested_output(names: list[str]) -> Schema:
    wanted = _parameters({WANTED: _wish("Answer with this output as a binary tensor.")})
    return {"type": "object", "properties": {"name": {"enum": names}, "parameters": wanted}, "required": ["name"]}


def _parameters(known: Schema) -> Schema:
    return {"type": ["object", "null"], "properties": known}


def _wish(description: str) -> Schema:
    return {"type": "boolean", "description": description}


def tensor_schema(column: Column) -> Schema:
    """Describe an input tensor whose data is JSON, in each datatype that the column takes."""
    sizes: list[Schema] = [{"const": size} for size in column.shape or ()]
    shapes = [_shape(sizes)] if column.shape is not None else [_shape([]), _shape([{"const": 1}])]
    return {
        "title": column.name,
        "type": "object",
        "properties": {
            "name": {"const": column.name},
            "shape": shapes[0] if len(shapes) == 1 else {"anyOf": shapes},
            # A tensor whose data follows as bytes has a size instead, in a body with the binary header only.
            "parameters": {"type": ["object", "null"], "properties": {SIZE: False}},
        },
        "required": ["name", "shape", "datatype", "data"],
        "anyOf": [_typed(column, datatype) for datatype in DATATYPES[column.dtype]],
    }


def _shape(rest: list[Schema]) -> Schema:
    return {"type": "array", "prefixItems": [ROWS, *rest], "minItems": 1 + len(rest), "maxItems": 1 + len(rest)}


def _typed(column: Column, datatype: str) -> Schema:
    element = element_schema(column.dtype, datatype=None if datatype in {"BYTES", "BOOL"} else datatype)
    element = or_null(element) if nullable(column) else element
    flat = {"type": "array", "items": element}
    nested = {"type": "array", "items": in_shape(element, column.shape or (1,))}
    return {"properties": {"datatype": {"const": datatype}, "data": {"anyOf": [flat, nested]}}}


def infer_example(signature: Signature) -> Schema:
    """Return a request of one row."""
    return {"inputs": [_tensor_example(column) for column in signature.inputs]}


def _tensor_example(column: Column) -> dict[str, Any]:
    shape = [1, *(column.shape or ())]
    return {"name": column.name, "datatype": datatype_of(column), "shape": shape, "data": [example(column)]}


def infer_response_schema(identity: ModelIdentity) -> Schema:
    """Describe the JSON of an answer; outputs are in the order they were asked for."""
    outputs = [_output_schema(column) for column in identity.outputs]
    return _object(
        {
            "model_name": {"const": identity.name},
            "model_version": {"const": str(identity.version)},
            "id": TEXT,
            "parameters": _object({"model_digest": {"const": identity.digest}}),
            "outputs": {
                "type": "array",
                "items": outputs[0] if len(outputs) == 1 else {"anyOf": outputs},
                "minItems": 1,
                "maxItems": len(outputs),
            },
        },
        optional={"id"},
    )


def _output_schema(column: Column) -> Schema:
    size = math.prod(column.shape or ())
    data: Schema = {"type": "array", "items": element_schema(column.dtype)}
    if size > 1:
        data["description"] = f"Flat, in row order, {size} for each row."
    return _object(
        {
            "name": {"const": column.name},
            "shape": _shape([{"const": length} for length in column.shape or ()]),
            "datatype": {"const": datatype_of(column)},
            "data": data,
            "parameters": _object({SIZE: ROWS}),
        },
        optional={"data", "parameters"},
    )


def metadata_schema(identity: ModelIdentity) -> Schema:
    """Describe the metadata of a version: what it declares is constant."""
    return _object(
        {
            "name": {"const": identity.name},
            "versions": {"type": "array", "items": {"type": "string", "pattern": "^[0-9]+$"}},
            "platform": {"const": "mlflow"},
            "inputs": {"type": "array", "items": _declared(identity.inputs)},
            "outputs": {"type": "array", "items": _declared(identity.outputs)},
            "properties": _object(
                {"digest": {"const": identity.digest}, "alias": TEXT} | dict.fromkeys(PROPERTIES, TEXT),
                optional={"alias"},
            ),
        }
    )


def _declared(columns: tuple[Column, ...]) -> Schema:
    return _object(
        {
            "name": {"enum": [column.name for column in columns]},
            "datatype": {"enum": sorted({datatype_of(column) for column in columns})},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": -1}, "minItems": 1},
        }
    )


def _object(properties: Schema, *, optional: set[str] | None = None) -> Schema:
    required = [name for name in properties if name not in (optional or set())]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
