"""Inference requests of the gRPC protocol to rows, and scores to its responses."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lockstep.errors import RequestInvalid
from lockstep.run.plan import Column, ModelIdentity
from lockstep.scoring.backends import Arrays
from lockstep.scoring.signature import Signature
from lockstep.serving.grpc import open_inference_pb2 as pb
from lockstep.serving.infer_json import InferRequest
from lockstep.serving.raw_rows import Given, raw_column, rows_of_raw
from lockstep.serving.raw_tensors import raw_bytes, text_elements
from lockstep.serving.tensors import (
    SMALL_INTEGERS,
    chosen_outputs,
    datatype_of,
    declared_rows,
    input_column,
    model_metadata,
    narrowed,
    requested_outputs,
)

# Datatype to the field of InferTensorContents that holds its elements; the others can only be sent raw.
CONTENTS = {
    "BOOL": "bool_contents", "BYTES": "bytes_contents", "FP32": "fp32_contents", "FP64": "fp64_contents",
    "INT8": "int_contents", "INT16": "int_contents", "INT32": "int_contents", "INT64": "int64_contents",
    "UINT8": "uint_contents", "UINT16": "uint_contents", "UINT32": "uint_contents", "UINT64": "uint64_contents",
}  # fmt: skip
DIGEST = "model_digest"


@dataclass(frozen=True)
class GrpcInfer:
    """A decoded request, and whether its response is to be raw as it was itself."""

    request: InferRequest
    raw: bool


def decode_infer(request: pb.ModelInferRequest, signature: Signature) -> GrpcInfer:
    """Decode an inference request.

    Raises:
        RequestInvalid: It does not fit the protocol or the signature.
    """
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise RequestInvalid(f"raw_input_contents has {len(raw)} entries for {len(request.inputs)} inputs")
    columns: dict[str, Given] = {}
    for index, tensor in enumerate(request.inputs):
        column = input_column(signature, tensor.name, index=index, given=columns)
        columns[column.name] = _raw(tensor, raw[index], column) if raw else _typed(tensor, column)
    wanted = requested_outputs([output.name for output in request.outputs], signature)
    rows = rows_of_raw(columns, signature)
    parameters = _parameters(request.parameters) if request.parameters else {}
    return GrpcInfer(InferRequest(rows, request.id or None, wanted, parameters), bool(raw))


def _raw(tensor: pb.ModelInferRequest.InferInputTensor, raw: bytes, column: Column) -> Given:
    if tensor.HasField("contents") and tensor.contents.ListFields():
        raise RequestInvalid(f"input {column.name!r}: has both contents and raw_input_contents; send it one way")
    return raw_column(memoryview(raw), column, datatype=tensor.datatype, shape=list(tensor.shape))


def _typed(tensor: pb.ModelInferRequest.InferInputTensor, column: Column) -> Given:
    datatype = tensor.datatype
    count = declared_rows(column, datatype, list(tensor.shape)) * math.prod(column.shape or ())
    expected = CONTENTS.get(datatype)
    if expected is None:
        raise RequestInvalid(f"input {column.name!r}: {datatype} can only be sent as raw_input_contents")
    filled = [field.name for field, _ in tensor.contents.ListFields()]
    if filled not in ([], [expected]):
        problem = f"contents of {datatype} are in {expected}, got {', '.join(filled)}"
        raise RequestInvalid(f"input {column.name!r}: {problem}")
    values: list[Any] = list(getattr(tensor.contents, expected))
    if len(values) != count:
        problem = f"the shape declares {count} values, the contents hold {len(values)}"
        raise RequestInvalid(f"input {column.name!r}: {problem}")
    return _checked(values, datatype, column)


def _checked(values: list[Any], datatype: str, column: Column) -> Given:
    """Return typed elements as what `rows_of_raw` takes: of a plain column a list, of a tensor a flat array."""
    if datatype == "BYTES":
        values = [_text(value, place, column) for place, value in enumerate(values)]
    elif datatype in SMALL_INTEGERS:  # sent as 32 bits
        values = narrowed(values, datatype, name=column.name)
    if column.shape is None:
        return values
    return np.array(values, dtype=object if datatype == "BYTES" else None)


def _text(value: bytes, place: int, column: Column) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        got = "a string that is not valid Unicode"
        raise RequestInvalid(f"input {column.name!r}, value {place}: expected UTF-8, got {got}") from error


def _parameters(given: Mapping[str, pb.InferParameter]) -> dict[str, Any]:
    found = {name: parameter.WhichOneof("parameter_choice") for name, parameter in given.items()}
    return {name: getattr(given[name], field) if field else None for name, field in found.items()}


def encode_infer(identity: ModelIdentity, asked: GrpcInfer, outputs: Arrays) -> pb.ModelInferResponse:
    """Encode the response, raw if the request was, or if an output has no typed form.

    Args:
        identity: Of the model.
        asked: What is answered.
        outputs: `(rows, *shape)` arrays of all outputs.
    """
    chosen = chosen_outputs(identity, asked.request.outputs, outputs)
    raw = asked.raw or any(datatype_of(column) not in CONTENTS for column, _ in chosen)
    response = pb.ModelInferResponse(
        model_name=identity.name, model_version=str(identity.version), id=asked.request.id or ""
    )
    response.parameters[DIGEST].string_param = identity.digest
    for column, array in chosen:
        datatype = datatype_of(column)
        tensor = response.outputs.add(name=column.name, datatype=datatype, shape=array.shape)
        if raw:
            response.raw_output_contents.append(raw_bytes(array))
        else:
            elements = text_elements(array) if datatype == "BYTES" else array.reshape(-1).tolist()
            getattr(tensor.contents, CONTENTS[datatype]).extend(elements)
    return response


def encode_metadata(identity: ModelIdentity, versions: list[int]) -> pb.ModelMetadataResponse:
    """Encode what a model takes and gives; see `model_metadata`."""
    found = model_metadata(identity, versions)
    tensor = pb.ModelMetadataResponse.TensorMetadata
    return pb.ModelMetadataResponse(
        name=found["name"],
        versions=found["versions"],
        platform=found["platform"],
        inputs=[tensor(**declared) for declared in found["inputs"]],
        outputs=[tensor(**declared) for declared in found["outputs"]],
    )
