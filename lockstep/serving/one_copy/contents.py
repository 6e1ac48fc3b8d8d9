"""Rows and scores as bytes between two workers, without the loss of a bit: Arrow one way, NumPy's memory the other."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

from lockstep.scoring.scorer import FEW_ROWS, ScoredBatch
from lockstep.scoring.signature import Signature
from lockstep.serving.one_copy.errors import FrameInvalid
from lockstep.serving.rows import VALUE_BYTES, PlainRows, Rows, to_batch

# Booleans, integers, floats, times: what NumPy keeps as plain memory. Text goes as JSON.
PLAIN_KINDS = "biufM"
TEXT = "text"
# Arrays begin where any processor reads them at full speed.
ALIGNED_BYTES = 16


def write_rows(rows: Rows, signature: Signature) -> tuple[dict[str, Any], memoryview]:
    """Write the rows of a request.

    Args:
        rows: Checked rows of the signature.
        signature: Of the model.

    Returns:
        What the header says of them, and their bytes.
    """
    batch = to_batch([rows], signature)
    if batch.schema.equals(signature.schema):  # which the other side knows
        plain = isinstance(rows, PlainRows) and signature.takes_values and 0 < batch.num_rows <= FEW_ROWS
        return {"rows": batch.num_rows, "plain": plain}, memoryview(batch.serialize())
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return {"rows": batch.num_rows, "schema": True}, memoryview(sink.getvalue())


def read_rows(header: Mapping[str, Any], body: bytes, signature: Signature) -> Rows:
    """Read what `write_rows` wrote; a few plain rows as such, which are scored faster and to the same bits.

    Raises:
        FrameInvalid: It cannot be read.
    """
    try:
        if header.get("schema"):
            with pa.ipc.open_stream(body) as reader:
                batch = reader.read_next_batch()
        else:
            batch = pa.ipc.read_record_batch(pa.py_buffer(body), signature.schema)
        batch.validate()
    except (pa.ArrowException, EOFError, OSError, StopIteration) as error:
        raise FrameInvalid(f"its rows are no Arrow batch ({type(error).__name__})") from error
    if batch.num_rows != header.get("rows"):
        raise FrameInvalid(f"it has {batch.num_rows} rows and says {header.get('rows')!r}")
    if not header.get("plain"):
        return batch
    columns = tuple(column.to_pylist() for column in batch.columns)
    return PlainRows(columns, batch.num_rows, VALUE_BYTES * batch.num_rows * len(columns))


def write_scores(scored: ScoredBatch) -> tuple[dict[str, Any], list[bytes]]:
    """Write scores: what the header says of them, and their bytes."""
    outputs, parts = [], []
    for array in scored.outputs:
        text = array.dtype.hasobject
        content = orjson.dumps(array.reshape(-1).tolist()) if text else array.tobytes()
        outputs.append([TEXT if text else array.dtype.str, array.shape, len(content)])
        parts.append(content + bytes(-len(content) % ALIGNED_BYTES))
    return {"outputs": outputs, "reasons": list(scored.reasons.items())}, parts


def read_scores(header: Mapping[str, Any], body: bytes, *, rows: int) -> ScoredBatch:
    """Read what `write_scores` wrote.

    Args:
        header: Of the frame.
        body: Of the frame.
        rows: That were sent.

    Raises:
        FrameInvalid: It cannot be read, or is not about so many rows.
    """
    arrays, start = [], 0
    try:
        for dtype, shape, size in header["outputs"]:
            arrays.append(_array(dtype, shape, body[start : start + size], size=size))
            start += size + -size % ALIGNED_BYTES
        reasons = {int(row): str(reason) for row, reason in header["reasons"]}
    except (KeyError, TypeError, ValueError) as error:
        raise FrameInvalid(f"its scores cannot be read ({type(error).__name__})") from error
    if start != len(body) or not arrays or any(len(array) != rows for array in arrays):
        raise FrameInvalid(f"its scores are not those of {rows} rows")
    if not all(0 <= row < rows for row in reasons):
        raise FrameInvalid(f"it has reasons for other rows than its {rows}")
    return ScoredBatch(tuple(arrays), reasons)


def _array(dtype: str, shape: Sequence[Any], content: bytes, *, size: int) -> npt.NDArray[Any]:
    if not shape or any(not isinstance(each, int) or each < 0 for each in shape) or len(content) != size:
        raise ValueError("shape")
    if dtype == TEXT:
        values = orjson.loads(content)
        found = np.empty(len(values), object)
        found[:] = values
    else:
        kind = np.dtype(dtype)
        if kind.kind not in PLAIN_KINDS or math.prod(shape) * kind.itemsize != size:
            raise ValueError("dtype")
        found = np.frombuffer(content, kind)
    return found.reshape(shape)
