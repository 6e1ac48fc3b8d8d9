"""Open Inference requests and responses with binary tensors: JSON, followed by the raw bytes of the tensors.

The extension is Triton's
(https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/protocol/extension_binary_data.html); its
clients use it unless they are told not to. What the bytes of a tensor mean is in `raw_tensors`.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from lockstep.errors import RequestInvalid
from lockstep.run.plan import Column, ModelIdentity
from lockstep.scoring.backends import Arrays
from lockstep.scoring.signature import Signature
from lockstep.serving.infer_json import InferRequest, json_values, parameters_of, response_head, with_rows
from lockstep.serving.json_body import json_kind, parse_json_object
from lockstep.serving.raw_rows import Given, raw_column, rows_of_raw
from lockstep.serving.raw_tensors import LENGTH, raw_bytes
from lockstep.serving.tensors import chosen_outputs, datatype_of, flat_list, input_column

HEADER = "Inference-Header-Content-Length"
# What a server's metadata lists under `extensions`.
EXTENSION = "binary_tensor_data"
# Of a tensor, of a requested output, of a request.
SIZE, WANTED, ALL_WANTED = "binary_data_size", "binary_data", "binary_data_output"
LENGTH_DIGITS = 18


def decode_binary(body: bytes, header_length: int | str, signature: Signature) -> InferRequest:
    """Decode an inference request with binary tensors.

    Args:
        body: The JSON of the request, then the bytes of its binary tensors in order.
        header_length: Length of the JSON in bytes; a string is the header's value. With 0 the body is one row of the
            model's only input, and nothing else.
        signature: Of the model.

    Raises:
        RequestInvalid: The body does not fit the protocol or the signature.
    """
    length = _json_length(header_length, len(body))
    if length == 0:
        return _one_raw_row(body, signature)
    request = parse_json_object(body[:length])
    inputs = request.get("inputs")
    if not isinstance(inputs, list):
        raise RequestInvalid(f"inputs must be an array of tensors, got {json_kind(inputs)}")
    binary = _Bytes(memoryview(body)[length:])
    columns: dict[str, Given] = {}
    for index, tensor in enumerate(inputs):
        name = tensor.get("name") if isinstance(tensor, dict) else None
        column = input_column(signature, name, index=index, given=columns)
        columns[column.name] = _tensor(tensor, column, binary)
    binary.require_end()
    asked = with_rows(request, rows_of_raw(columns, signature), signature)
    binary_outputs(asked, signature)
    return asked


def _json_length(given: int | str, size: int) -> int:
    """Return the length of the JSON; a sign, a blank or another notation is no length."""
    text = str(given)
    if not (text.isascii() and text.isdecimal() and len(text) <= LENGTH_DIGITS):
        raise RequestInvalid(f"header {HEADER} must be a whole number of bytes")
    if int(text) > size:
        raise RequestInvalid(f"header {HEADER} says {int(text)} bytes of JSON, but the body has {size}")
    return int(text)


def _one_raw_row(body: bytes, signature: Signature) -> InferRequest:
    if len(signature.inputs) != 1:
        expected = f"a body without JSON is the one input of a model, but this one has {len(signature.inputs)} inputs"
        raise RequestInvalid(f"header {HEADER} is 0: {expected}")
    (column,) = signature.inputs
    datatype = datatype_of(column)
    # A lone text is the whole body, without its length.
    raw = LENGTH.pack(len(body)) + body if datatype == "BYTES" and len(body) < 2**32 else body
    values = raw_column(memoryview(raw), column, datatype=datatype, shape=[1, *(column.shape or ())])
    return InferRequest(rows_of_raw({column.name: values}, signature), None, parameters={ALL_WANTED: True})


class _Bytes:
    """The binary part of a body, taken tensor by tensor."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._taken = 0

    def take(self, size: object, *, name: str) -> memoryview:
        """Return the next `size` bytes."""
        if type(size) is not int or size < 0:
            raise RequestInvalid(f"input {name!r}: {SIZE} must be a whole number of bytes, got {json_kind(size)}")
        left = len(self._data) - self._taken
        if size > left:
            raise RequestInvalid(f"input {name!r}: {SIZE} is more than the {left} bytes of the body that are left")
        self._taken += size
        return self._data[self._taken - size : self._taken]

    def require_end(self) -> None:
        """Refuse bytes that belong to no tensor."""
        if left := len(self._data) - self._taken:
            raise RequestInvalid(f"{left} bytes of the body belong to no input: the {SIZE} of the inputs do not add up")


def _tensor(tensor: Mapping[str, Any], column: Column, binary: _Bytes) -> Given:
    parameters = tensor.get("parameters")
    if not isinstance(parameters, dict):
        parameters = parameters_of(tensor, f"input {column.name!r}")
    if SIZE not in parameters:
        return json_values(tensor, column)
    if "data" in tensor:
        raise RequestInvalid(f"input {column.name!r}: has both data and {SIZE}; send it one way")
    raw = binary.take(parameters[SIZE], name=column.name)
    return raw_column(raw, column, datatype=tensor.get("datatype"), shape=tensor.get("shape"))


def binary_outputs(request: InferRequest, signature: Signature) -> frozenset[str]:
    """Return the names of the outputs that a request wants as binary tensors, in whatever form it came itself.

    Raises:
        RequestInvalid: A parameter that says so is no boolean.
    """
    every = _truth(request.parameters, ALL_WANTED, otherwise=False)
    names = request.outputs or tuple(output.name for output in signature.outputs)
    described = request.output_parameters
    return frozenset(name for name in names if _truth(described.get(name, {}), WANTED, otherwise=every))


def _truth(parameters: Mapping[str, Any], name: str, *, otherwise: bool) -> bool:
    value = parameters.get(name, otherwise)
    if not isinstance(value, bool):
        raise RequestInvalid(f"parameter {name} must be true or false, got {json_kind(value)}")
    return value


def encode_binary(identity: ModelIdentity, request: InferRequest, outputs: Arrays) -> tuple[bytes, int]:
    """Encode a response whose outputs are binary where the request wants them so, and JSON where it does not.

    Args:
        identity: Of the model.
        request: What is answered.
        outputs: `(rows, *shape)` arrays of all outputs.

    Returns:
        The body, and the length of the JSON that it begins with; without a binary output that is all of it, and the
        same as `encode_infer` writes.
    """
    wanted = binary_outputs(request, Signature(identity.inputs, identity.outputs))
    response, parts, described = response_head(identity, request), list[bytes](), list[dict[str, Any]]()
    for column, array in chosen_outputs(identity, request.outputs, outputs):
        tensor: dict[str, Any] = {"name": column.name, "shape": list(array.shape), "datatype": datatype_of(column)}
        if column.name in wanted:
            parts.append(raw_bytes(array))
            tensor["parameters"] = {SIZE: len(parts[-1])}
        else:
            tensor["data"] = flat_list(array)
        described.append(tensor)
    response["outputs"] = described
    head = orjson.dumps(response)
    return b"".join((head, *parts)), len(head)
