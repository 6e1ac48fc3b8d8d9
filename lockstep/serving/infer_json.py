"""An inference request of the Open Inference Protocol V2 as JSON, to rows; and scores to its response."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import orjson

from lockstep.errors import RequestInvalid
from lockstep.run.plan import Column, ModelIdentity
from lockstep.scoring.backends import Arrays
from lockstep.scoring.signature import Signature
from lockstep.serving.columns import build_rows, check_rows
from lockstep.serving.json_body import json_kind, parse_json_object
from lockstep.serving.rows import Rows, Values, empty_rows
from lockstep.serving.tensors import (
    chosen_outputs,
    datatype_of,
    declared_rows,
    flat_list,
    in_rows,
    input_column,
    narrowed,
    requested_outputs,
)


@dataclass(frozen=True)
class InferRequest:
    """A decoded inference request.

    Attributes:
        rows: Rows of the signature.
        id: Echoed in the response.
        outputs: Requested output names; empty means all.
        parameters: Of the request, as they came.
        output_parameters: Of each requested output that has some.
    """

    rows: Rows
    id: str | None
    outputs: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    output_parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def decode_infer(body: bytes, signature: Signature) -> InferRequest:
    """Decode the JSON of an inference request.

    Raises:
        RequestInvalid: It does not fit the protocol or the signature.
    """
    return read_request(parse_json_object(body), signature)


def read_request(request: Mapping[str, Any], signature: Signature) -> InferRequest:
    """Read a parsed inference request whose tensors are plain JSON.

    Raises:
        RequestInvalid: It does not fit the protocol or the signature.
    """
    inputs = request.get("inputs")
    if not isinstance(inputs, list):
        raise RequestInvalid(f"inputs must be an array of tensors, got {json_kind(inputs)}")
    plain = _plain_columns(inputs, signature)
    if plain is not None:
        return with_rows(request, check_rows(plain, len(plain[0]), signature), signature)
    columns: dict[str, Values] = {}
    for index, tensor in enumerate(inputs):
        name = tensor.get("name") if isinstance(tensor, dict) else None
        column = input_column(signature, name, index=index, given=columns)
        columns[column.name] = json_values(tensor, column)
    return with_rows(request, rows_of(columns, signature), signature)


def _plain_columns(inputs: list[Any], signature: Signature) -> list[Values] | None:
    """Return the columns of tensors that are all plain inputs in order, of their own datatypes and one length.

    Nearly all requests are so. Of any other nothing is returned: it is read tensor by tensor, with an error that says
    which. No rows and nested data are others, too.
    """
    wanted = signature.inputs
    if signature.tensor_places or len(inputs) != len(wanted):
        return None
    columns: list[Values] = []
    rows = 0
    for tensor, column in zip(inputs, wanted, strict=True):
        if not isinstance(tensor, dict) or tensor.get("name") != column.name or "parameters" in tensor:
            return None
        data, shape = tensor.get("data"), tensor.get("shape")
        rows = rows or (len(data) if isinstance(data, list) else 0)
        if not rows or type(data) is not list or len(data) != rows or type(data[0]) is list:
            return None
        if shape != [rows] or type(shape[0]) is not int or tensor.get("datatype") != datatype_of(column):
            return None
        columns.append(data)
    return columns


def rows_of(columns: Mapping[str, Values], signature: Signature) -> Rows:
    """Return the rows of input tensors; raises what `build_rows` does."""
    rows = build_rows(columns, signature)
    return rows if rows.num_rows else empty_rows(signature)


def with_rows(request: Mapping[str, Any], rows: Rows, signature: Signature) -> InferRequest:
    """Read all of a parsed request but its input tensors.

    Raises:
        RequestInvalid: A field is of another type, or an output is unknown.
    """
    request_id, outputs = request.get("id"), request.get("outputs")
    if request_id is not None and not isinstance(request_id, str):
        raise RequestInvalid(f"id must be a string, got {json_kind(request_id)}")
    if outputs is None:
        outputs = []
    if not isinstance(outputs, list):
        raise RequestInvalid(f"outputs must be an array, got {json_kind(outputs)}")
    names = [item.get("name") if isinstance(item, dict) else None for item in outputs]
    wanted = requested_outputs(names, signature)
    described = {
        name: parameters_of(item, f"outputs[{i}]") for i, (name, item) in enumerate(zip(wanted, outputs, strict=True))
    }
    return InferRequest(rows, request_id, wanted, parameters_of(request, "the request"), described)


def parameters_of(holder: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """Return the parameters of a request or tensor, or raise `RequestInvalid` when they are no object."""
    parameters = holder.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise RequestInvalid(f"parameters of {where} must be an object, got {json_kind(parameters)}")
    return parameters


def json_values(tensor: Mapping[str, Any], column: Column) -> Values:
    """Read the data of a JSON tensor: one value, or one list of elements, for each row.

    Raises:
        RequestInvalid: Datatype, shape and data do not fit each other or the column.
    """
    name, datatype, shape = column.name, tensor.get("datatype"), tensor.get("shape")
    rows = declared_rows(column, datatype, shape)
    elements = [rows, *(column.shape or ())]
    if "binary_data_size" in parameters_of(tensor, f"input {name!r}"):
        raise RequestInvalid(f"input {name!r}: binary data needs the header Inference-Header-Content-Length")
    values = _flat(tensor.get("data"), elements, name=name)
    if datatype != datatype_of(column):  # its own datatype is read as such when the batch is built
        values = narrowed(values, str(datatype), name=name)
    return in_rows(values, column)


def _flat(data: Any, shape: Sequence[int], *, name: str) -> list[Any]:
    """Return the elements of flat or nested data in row order."""
    if not isinstance(data, list):
        raise RequestInvalid(f"input {name!r}: data must be an array, got {json_kind(data)}")
    level, depth = data, 1
    while level and isinstance(level[0], list) and depth <= len(shape):
        length = shape[depth] if depth < len(shape) else 1
        if not all(isinstance(item, list) and len(item) == length for item in level):
            raise RequestInvalid(f"input {name!r}: data must be flat, or nested as the shape says")
        level, depth = list(chain.from_iterable(level)), depth + 1
    declared = 1
    for size in shape:
        declared *= size
    if len(level) != declared:
        raise RequestInvalid(f"input {name!r}: the shape declares {declared} values, the data holds {len(level)}")
    return level


def encode_infer(identity: ModelIdentity, request: InferRequest, outputs: Arrays) -> bytes:
    """Encode the response; floats are written so that they read back to the same bits.

    Args:
        identity: Of the model.
        request: What is answered.
        outputs: `(rows, *shape)` arrays of all outputs; a tensor is written flat, in row order.
    """
    response = response_head(identity, request)
    response["outputs"] = [
        {"name": column.name, "shape": list(array.shape), "datatype": datatype_of(column), "data": flat_list(array)}
        for column, array in chosen_outputs(identity, request.outputs, outputs)
    ]
    return orjson.dumps(response)


def response_head(identity: ModelIdentity, request: InferRequest) -> dict[str, Any]:
    """Return a response without its outputs."""
    head: dict[str, Any] = {"model_name": identity.name, "model_version": str(identity.version)}
    if request.id is not None:
        head["id"] = request.id
    head["parameters"] = {"model_digest": identity.digest}
    return head
