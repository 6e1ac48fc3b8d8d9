"""How one row is asked for in each format: path, headers and body."""

import base64
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

Row = np.ndarray[Any, np.dtype[np.float32]] | str
Body = tuple[bytes, Mapping[str, str]]
Write = Callable[[Row, Sequence[str]], Body]

JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Protocol:
    """One format of requests and answers.

    Attributes:
        path: With `{model}` where the model's name belongs.
        write: From a row and its columns' names to body and headers.
        reader: Name in `benchmarks.serving.reading.READERS`.
    """

    path: str
    write: Write
    reader: str


def request_bytes(protocol: Protocol, row: Row, columns: Sequence[str], *, model: str) -> bytes:
    """Return a whole HTTP request."""
    body, headers = protocol.write(row, columns)
    lines = [f"POST {protocol.path.format(model=model)} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in {**headers, "Content-Length": str(len(body))}.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def in_base64(requests: Sequence[bytes]) -> list[str]:
    """Return requests as text."""
    return [base64.b64encode(request).decode() for request in requests]


def _json(content: Any) -> Body:
    # A float32 is written with the digits that tell it from its neighbours, as clients with float32 values do.
    return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY), JSON


def write_plain(row: Row, columns: Sequence[str]) -> Body:  # noqa: ARG001 - as the others
    """Write the one field that one would give a service of one's own."""
    return _json({"text": row} if isinstance(row, str) else {"features": row})


def write_split(row: Row, columns: Sequence[str]) -> Body:
    """Write MLflow's split data frame."""
    return _json({"dataframe_split": {"columns": columns, "data": [_cells(row)]}})


def write_records(row: Row, columns: Sequence[str]) -> Body:
    """Write MLflow's records."""
    return _json({"dataframe_records": [dict(zip(columns, _cells(row), strict=True))]})


def write_mlflow_inputs(row: Row, columns: Sequence[str]) -> Body:
    """Write MLflow's `inputs`, a list for each column."""
    return _json({"inputs": {name: [cell] for name, cell in zip(columns, _cells(row), strict=True)}})


def write_v2_columns(row: Row, columns: Sequence[str]) -> Body:
    """Write a tensor for each column, as the model's signature says."""
    return _json({"inputs": [_tensor(name, cell) for name, cell in zip(columns, _cells(row), strict=True)]})


def write_v2_matrix(row: Row, columns: Sequence[str]) -> Body:
    """Write all columns as one tensor."""
    if isinstance(row, str):
        return write_v2_columns(row, columns)
    return _json({"inputs": [{"name": "features", "datatype": "FP32", "shape": [1, len(row)], "data": row}]})


def write_v2_binary(row: Row, columns: Sequence[str]) -> Body:
    """Write a binary tensor for each column and ask for binary outputs, as `tritonclient` does."""
    cells = [_raw(cell) for cell in _cells(row)]
    tensors = [
        {
            "name": name,
            "datatype": "BYTES" if isinstance(row, str) else "FP32",
            "shape": [1],
            "parameters": {"binary_data_size": len(raw)},
        }
        for name, raw in zip(columns, cells, strict=True)
    ]
    head = orjson.dumps({"inputs": tensors, "parameters": {"binary_data_output": True}})
    headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(head))}
    return head + b"".join(cells), headers


def _cells(row: Row) -> list[Any]:
    return [row] if isinstance(row, str) else list(row)


def _tensor(name: str, cell: Any) -> dict[str, Any]:
    datatype = "BYTES" if isinstance(cell, str) else "FP32"
    return {"name": name, "datatype": datatype, "shape": [1], "data": [cell]}


def _raw(cell: Any) -> bytes:
    if not isinstance(cell, str):
        return struct.pack("<f", cell)
    text = cell.encode()
    return struct.pack("<I", len(text)) + text


PROTOCOLS: Mapping[str, Protocol] = {
    "plain": Protocol("/score", write_plain, "plain"),
    "dataframe_split": Protocol("/invocations", write_split, "mlflow"),
    "dataframe_records": Protocol("/invocations", write_records, "mlflow"),
    "inputs": Protocol("/invocations", write_mlflow_inputs, "mlflow"),
    "v2": Protocol("/v2/models/{model}/infer", write_v2_columns, "v2"),
    "v2-matrix": Protocol("/v2/models/{model}/infer", write_v2_matrix, "v2"),
    "v2-binary": Protocol("/v2/models/{model}/infer", write_v2_binary, "v2-binary"),
}
