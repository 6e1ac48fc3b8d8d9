"""Fitted rows to the tensors of the Open Inference Protocol, and tensors of an answer to arrays."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from lockstep.client.answers import Arrays, column_of, shaped
from lockstep.run.plan import Column
from lockstep.serving.infer_binary import ALL_WANTED, SIZE
from lockstep.serving.raw_tensors import RawTexts, raw_bytes, read_elements, text_list
from lockstep.serving.tensors import datatype_of


def raw_values(array: pa.Array, column: Column) -> bytes | None:
    """Return a column as raw bytes; none when it has a missing value that raw bytes have no form for."""
    if column.shape is not None:
        array = array.flatten()
    if array.null_count and not pa.types.is_floating(array.type):
        return None
    if pa.types.is_string(array.type):
        return raw_bytes(np.array(array.to_pylist(), dtype=object))
    return raw_bytes(array.to_numpy(zero_copy_only=False))  # null is NaN


def described_tensor(table: pa.Table, column: Column) -> dict[str, Any]:
    """Return name, datatype and shape of a column of a request."""
    return {
        "name": column.name,
        "datatype": datatype_of(column),
        "shape": [table.num_rows, *(column.shape or ())],
    }


def one_array(table: pa.Table, name: str) -> pa.Array:
    """Return a column in one piece."""
    found = table.column(name).combine_chunks()
    return found.chunk(0) if isinstance(found, pa.ChunkedArray) else found


def encode_request(table: pa.Table, inputs: Sequence[Column]) -> tuple[bytes, int]:
    """Write an inference request with binary tensors; a column with a missing text or integer is JSON.

    Returns:
        The body, and how many bytes of it are JSON.
    """
    tensors, parts = [], list[bytes]()
    for column in inputs:
        tensor, array = described_tensor(table, column), one_array(table, column.name)
        raw = raw_values(array, column)
        if raw is None:
            tensor["data"] = array.to_pylist()
        else:
            tensor["parameters"] = {SIZE: len(raw)}
            parts.append(raw)
        tensors.append(tensor)
    head = orjson.dumps({"inputs": tensors, "parameters": {ALL_WANTED: True}})
    return b"".join((head, *parts)), len(head)


def decode_response(body: bytes, json_bytes: int | None) -> tuple[dict[str, Any], Arrays]:
    """Read an inference response.

    Args:
        body: JSON, and the bytes of binary tensors.
        json_bytes: How much is JSON; none: all of it.

    Returns:
        The JSON, and the outputs.

    Raises:
        ValueError, LookupError, TypeError, LockstepError: It is none.
    """
    head = orjson.loads(body if json_bytes is None else body[:json_bytes])
    place, outputs = json_bytes or 0, Arrays()
    for tensor in head["outputs"]:
        size = tensor.get("parameters", {}).get(SIZE)
        name, datatype, shape = tensor["name"], tensor["datatype"], tensor["shape"]
        if size is None:
            outputs[name] = shaped(tensor["data"], column_of(name, datatype, shape), rows=shape[0])
            continue
        outputs[name] = read_output(memoryview(body)[place : place + size], name, datatype, shape=shape)
        place += size
    return head, outputs


def read_output(raw: memoryview, name: str, datatype: str, *, shape: Sequence[int]) -> Any:
    """Read a raw output as its `(rows, *shape)` array; raises what `decode_response` does."""
    elements = read_elements(raw, datatype, math.prod(shape), name=name)
    values = text_list(elements, name=name) if isinstance(elements, RawTexts) else elements
    return shaped(values, column_of(name, datatype, shape), rows=shape[0])
