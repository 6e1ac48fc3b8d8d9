"""The forms in which the same rows are sent and their scores come back, each to the bit."""

import csv
import io
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from lockstep.serving.grpc import open_inference_pb2 as pb

Scores = npt.NDArray[np.float64]
Headers = Mapping[str, str]
JSON = {"Content-Type": "application/json"}
NUMPY, CONTENTS = {"FP32": "<f4", "FP64": "<f8"}, {"FP32": "fp32_contents", "FP64": "fp64_contents"}
LENGTH = "Inference-Header-Content-Length"
METHOD = "/inference.GRPCInferenceService/ModelInfer"
INFER, INVOCATIONS = "/v2/models/{model}/infer", "/endpoints/{model}/invocations"


@dataclass(frozen=True)
class Form:
    """A form of REST.

    Attributes:
        path: With `{model}`.
        write: From rows to body and headers.
        read: From headers, names in small letters, and body to the scores.
    """

    path: str
    write: Callable[[pa.Table], tuple[bytes, Headers]]
    read: Callable[[Headers, bytes], Scores]


def _is_text(column: pa.ChunkedArray) -> bool:
    return pa.types.is_string(column.type) or pa.types.is_large_string(column.type)


def _raw(column: pa.ChunkedArray) -> bytes:
    """Return elements as the protocol's bytes; a missing number is NaN."""
    if not _is_text(column):
        return column.to_numpy().astype(NUMPY[_datatype(column)]).tobytes()
    texts = [text.encode() for text in column.to_pylist()]
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def _datatype(column: pa.ChunkedArray) -> str:
    if _is_text(column):
        return "BYTES"
    return "FP32" if pa.types.is_float32(column.type) else "FP64"


def _columns(rows: pa.Table) -> list[tuple[str, pa.ChunkedArray]]:
    return list(zip(rows.column_names, rows.columns, strict=True))


def _write_v2_json(rows: pa.Table) -> tuple[bytes, Headers]:
    tensors = [
        {"name": name, "datatype": _datatype(column), "shape": [rows.num_rows], "data": column.to_pylist()}
        for name, column in _columns(rows)
    ]
    return orjson.dumps({"inputs": tensors}), JSON


def _write_v2_binary(rows: pa.Table) -> tuple[bytes, Headers]:
    tensors, parts = [], []
    for name, column in _columns(rows):
        parts.append(_raw(column))
        size = {"binary_data_size": len(parts[-1])}
        tensors.append({"name": name, "datatype": _datatype(column), "shape": [rows.num_rows], "parameters": size})
    head = orjson.dumps({"inputs": tensors, "parameters": {"binary_data_output": True}})
    return head + b"".join(parts), {"Content-Type": "application/octet-stream", LENGTH: str(len(head))}


def _write_split(rows: pa.Table) -> tuple[bytes, Headers]:
    data = list(zip(*(column.to_pylist() for column in rows.columns), strict=True))
    return orjson.dumps({"dataframe_split": {"columns": rows.column_names, "data": data}}), JSON


def _write_records(rows: pa.Table) -> tuple[bytes, Headers]:
    return orjson.dumps({"dataframe_records": rows.to_pylist()}), JSON


def _write_csv(rows: pa.Table) -> tuple[bytes, Headers]:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(rows.column_names)
    writer.writerows(zip(*(column.to_pylist() for column in rows.columns), strict=True))
    return text.getvalue().encode(), {"Content-Type": "text/csv"}


def _write_parquet(rows: pa.Table) -> tuple[bytes, Headers]:
    file = io.BytesIO()
    pq.write_table(rows, file)
    return file.getvalue(), {"Content-Type": "application/vnd.apache.parquet"}


def _read_v2_json(_: Headers, body: bytes) -> Scores:
    (output,) = orjson.loads(body)["outputs"]
    return np.array(output["data"], dtype=np.float64)


def _read_v2_binary(headers: Headers, body: bytes) -> Scores:
    size = int(headers[LENGTH.lower()])
    (output,) = orjson.loads(body[:size])["outputs"]
    if output["datatype"] != "FP64":
        raise ValueError(f"the output is {output['datatype']}, expected FP64")
    return np.frombuffer(body, dtype="<f8", offset=size).astype(np.float64)


def _read_records(_: Headers, body: bytes) -> Scores:
    return np.array([value for row in orjson.loads(body)["predictions"] for value in row.values()], dtype=np.float64)


FORMS: Mapping[str, Form] = {
    "v2 json": Form(INFER, _write_v2_json, _read_v2_json),
    "v2 binary": Form(INFER, _write_v2_binary, _read_v2_binary),
    "split json": Form(INVOCATIONS, _write_split, _read_records),
    "records json": Form(INVOCATIONS, _write_records, _read_records),
    "csv": Form(INVOCATIONS, _write_csv, _read_records),
    "parquet": Form(INVOCATIONS, _write_parquet, _read_records),
}


def grpc_request(model: str, rows: pa.Table, *, raw: bool) -> pb.ModelInferRequest:
    """Return rows as a gRPC request, its contents raw or typed."""
    request = pb.ModelInferRequest(model_name=model)
    for name, column in _columns(rows):
        tensor = request.inputs.add(name=name, datatype=_datatype(column), shape=[rows.num_rows])
        if raw:
            request.raw_input_contents.append(_raw(column))
        elif _is_text(column):
            tensor.contents.bytes_contents.extend(text.encode() for text in column.to_pylist())
        else:
            getattr(tensor.contents, CONTENTS[tensor.datatype]).extend(column.to_numpy())
    return request


def grpc_scores(response: Any) -> Scores:
    """Read the scores of a gRPC response."""
    if response.raw_output_contents:
        return np.frombuffer(response.raw_output_contents[0], dtype="<f8").astype(np.float64)
    return np.array(response.outputs[0].contents.fp64_contents, dtype=np.float64)


# Name -> whether the contents are raw.
GRPC = {"grpc raw": True, "grpc typed": False}
