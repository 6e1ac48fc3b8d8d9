"""Open Inference Protocol V2 tensors: a JSON inference request to the batch, and scores to the response.

Every input column of the model is one tensor of shape [rows] or [rows, 1]; the output has the shape [rows], or
[rows, ...] where the model gives a tensor for each row. The binary tensor extension is not
supported (and not listed): a request that uses it is told so.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import pyarrow as pa

from lockstep.errors import RequestInvalid
from lockstep.run.plan import Column, ModelIdentity
from lockstep.scoring.backends import Floats
from lockstep.scoring.signature import Signature
from lockstep.serving.columns import Misfit, build_batch, empty_batch
from lockstep.serving.json_body import json_kind, parse_json_object

# Signature type -> the tensor datatype in the metadata, then the others that widen to it without loss.
SMALL_INTEGERS = ("INT16", "INT8", "UINT16", "UINT8")
DATATYPES: dict[str, tuple[str, ...]] = {
    "string": ("BYTES",),
    "double": ("FP64", "FP32", "FP16", "INT64", "INT32", "UINT64", "UINT32", *SMALL_INTEGERS),
    "float": ("FP32", "FP16", *SMALL_INTEGERS),
    "integer": ("INT32", *SMALL_INTEGERS),
    "long": ("INT64", "INT32", "UINT32", *SMALL_INTEGERS),
    "boolean": ("BOOL",),
    "datetime": ("BYTES",),
}
# Datatypes whose values are rounded or bounded before they widen.
NARROW: dict[str, pa.DataType] = {
    "FP16": pa.float16(), "FP32": pa.float32(), "INT8": pa.int8(), "INT16": pa.int16(), "INT32": pa.int32(),
    "UINT8": pa.uint8(), "UINT16": pa.uint16(), "UINT32": pa.uint32(),
}  # fmt: skip
# Of outputs alone: element types that no plain input column has.
OUTPUT_DATATYPES = {"float16": "FP16", "uint8": "UINT8", "int8": "INT8", "int16": "INT16"}
BINARY = "binary tensor data is not supported yet; send the tensors as JSON (tritonclient: binary_data=False)"


@dataclass(frozen=True)
class InferRequest:
    """A decoded inference request.

    Attributes:
        batch: Rows in the signature's schema.
        id: Echoed in the response.
        outputs: Requested output names; empty means all.
    """

    batch: pa.RecordBatch
    id: str | None
    outputs: tuple[str, ...]


def decode_infer(body: bytes, signature: Signature) -> InferRequest:
    """Decode the JSON of an inference request.

    Raises:
        RequestInvalid: It does not fit the protocol or the signature.
    """
    request = parse_json_object(body)
    inputs, request_id = request.get("inputs"), request.get("id")
    if not isinstance(inputs, list):
        raise RequestInvalid(f"inputs must be an array of tensors, got {json_kind(inputs)}")
    if request_id is not None and not isinstance(request_id, str):
        raise RequestInvalid(f"id must be a string, got {json_kind(request_id)}")
    outputs = _requested_outputs(request.get("outputs"), signature)
    return InferRequest(_batch(inputs, signature), request_id, outputs)


def _requested_outputs(value: Any, signature: Signature) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise RequestInvalid(f"outputs must be an array, got {json_kind(value)}")
    names = [item.get("name") if isinstance(item, dict) else None for item in value]
    known = output_names(signature)
    for index, name in enumerate(names):
        if name not in known:
            raise RequestInvalid(f"outputs[{index}]: the model has no such output; it has {', '.join(known)}")
    if len(set(names)) < len(names):
        raise RequestInvalid("outputs: an output is requested twice")
    return tuple(str(name) for name in names)


def _batch(inputs: list[Any], signature: Signature) -> pa.RecordBatch:
    expected = {column.name: column for column in signature.inputs}
    columns: dict[str, Sequence[Any]] = {}
    for index, tensor in enumerate(inputs):
        name = tensor.get("name") if isinstance(tensor, dict) else None
        if not isinstance(name, str):
            raise RequestInvalid(f"inputs[{index}] must be an object with name, shape, datatype and data")
        if name not in expected:
            raise RequestInvalid(f"inputs[{index}]: the model has no input of that name; GET the model's metadata")
        if name in columns:
            raise RequestInvalid(f"input {name!r} is given twice")
        columns[name] = _values(tensor, expected[name])
    batch = build_batch(columns, signature)
    return batch if batch.num_rows else empty_batch(signature)


def _values(tensor: dict[str, Any], column: Column) -> Sequence[Any]:
    name, datatype = column.name, tensor.get("datatype")
    parameters = tensor.get("parameters") or {}
    if isinstance(parameters, dict) and "binary_data_size" in parameters:
        raise RequestInvalid(f"input {name!r}: {BINARY}")
    allowed = DATATYPES[column.dtype]
    if datatype not in allowed:
        raise RequestInvalid(f"input {name!r}: the datatype does not fit; expected {' or '.join(allowed)}")
    values, rows = _flat(tensor, name), _rows(tensor.get("shape"), name)
    if len(values) != rows:
        raise RequestInvalid(f"input {name!r}: the shape declares {rows} values, the data holds {len(values)}")
    narrow = NARROW.get(str(datatype))
    return values if narrow is None else _narrowed(values, narrow, name=name, datatype=str(datatype))


def _rows(shape: Any, name: str) -> int:
    whole = isinstance(shape, list) and all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in shape)
    if not whole or len(shape) not in {1, 2} or (len(shape) == 2 and shape[1] != 1):
        raise RequestInvalid(f"input {name!r}: shape must be [rows] or [rows, 1]")
    return int(shape[0])


def _flat(tensor: dict[str, Any], name: str) -> list[Any]:
    data = tensor.get("data")
    if not isinstance(data, list):
        raise RequestInvalid(f"input {name!r}: data must be an array, got {json_kind(data)}")
    if not any(isinstance(item, list) for item in data):
        return data
    if not all(isinstance(item, list) and len(item) == 1 for item in data):
        raise RequestInvalid(f"input {name!r}: data must be flat, or one array of one value for each row")
    return [item[0] for item in data]


def _narrowed(values: list[Any], narrow: pa.DataType, *, name: str, datatype: str) -> list[Any]:
    """Read values as the narrower type they were sent as, so that 0.1 as FP32 is the float32 nearest to 0.1."""
    plain = {float, int, type(None)} if pa.types.is_floating(narrow) else {int, type(None)}
    if plain.issuperset(map(type, values)):
        try:
            return list(pa.array(values, narrow).to_pylist())
        except (pa.ArrowInvalid, OverflowError):
            pass  # a value out of range: read one by one, to say which
    out: list[Any] = []
    for row, value in enumerate(values):
        try:
            out.append(_narrowed_one(value, narrow))
        except Misfit as error:
            raise RequestInvalid(f"input {name!r}, row {row}: expected {datatype} or null, got {error}") from error
    return out


def _narrowed_one(value: Any, narrow: pa.DataType) -> Any:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Misfit(json_kind(value))
    floating = pa.types.is_floating(narrow)
    if not floating and not float(value).is_integer():
        raise Misfit("a number with a fraction")
    try:
        return pa.scalar(float(value) if floating else int(value), narrow).as_py()
    except (pa.ArrowInvalid, OverflowError) as error:
        raise Misfit("a number out of range") from error


def output_names(signature: Signature) -> tuple[str, ...]:
    """Return the outputs that are served: the one score."""
    return (signature.outputs[0].name,)


def output_datatype(output: Column) -> str:
    """Return the datatype of an output's elements."""
    return OUTPUT_DATATYPES.get(output.dtype) or DATATYPES[output.dtype][0]


def encode_infer(identity: ModelIdentity, request: InferRequest, values: Floats) -> bytes:
    """Encode the response; floats are written so that they read back to the same bits.

    Args:
        identity: Of the model.
        request: What is answered.
        values: `(rows, *shape)` scores; a tensor is written flat, in row order.
    """
    response: dict[str, Any] = {"model_name": identity.name, "model_version": str(identity.version)}
    if request.id is not None:
        response["id"] = request.id
    response["parameters"] = {"model_digest": identity.digest}
    output = identity.outputs[0]
    tensor = {"name": output.name, "shape": list(values.shape), "datatype": output_datatype(output)}
    response["outputs"] = [{**tensor, "data": values.reshape(-1).tolist()}]
    return orjson.dumps(response)


def model_metadata(identity: ModelIdentity) -> dict[str, Any]:
    """Return the body of `GET /v2/models/M`."""
    return {
        "name": identity.name,
        "versions": [str(identity.version)],
        "platform": "mlflow",
        "inputs": [_declared(column, DATATYPES[column.dtype][0]) for column in identity.inputs],
        "outputs": [_declared(output, output_datatype(output)) for output in identity.outputs[:1]],
        "properties": {"digest": identity.digest, **({"alias": identity.alias} if identity.alias else {})},
    }


def _declared(column: Column, datatype: str) -> dict[str, Any]:
    return {"name": column.name, "datatype": datatype, "shape": [-1, *(column.shape or ())]}
