"""Parquet bodies: the same rows as JSON, within bounds, and one error for whatever is wrong with a file."""

import base64
import datetime as dt
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.errors import RequestInvalid
from lockstep.run.plan import Column
from lockstep.scoring.signature import Signature
from lockstep.serving import infer_json
from lockstep.serving.errors import DecodedTooLarge
from lockstep.serving.parquet_body import DECODED_BYTES, decode_parquet
from lockstep.serving.parquet_pages import FOOTER_BYTES
from lockstep.serving.rows import to_batch
from tests.unit.serving.tensor_requests import ALL_TYPES, Sent, json_request, same_rows, tensors
from tests.unit.serving.toy import IDENTITY, ROW, SIGNATURE

NUMBERS = {
    "BOOL": pa.bool_(), "FP16": pa.float16(), "BF16": pa.float32(), "FP32": pa.float32(), "FP64": pa.float64(),
    "INT8": pa.int8(), "INT16": pa.int16(), "INT32": pa.int32(), "INT64": pa.int64(),
    "UINT8": pa.uint8(), "UINT16": pa.uint16(), "UINT32": pa.uint32(), "UINT64": pa.uint64(), "BYTES": pa.string(),
}  # fmt: skip
X = Signature((Column(name="x", dtype="double"),), IDENTITY.outputs)
T = Signature((Column(name="t", dtype="string"),), IDENTITY.outputs)
L = Signature((Column(name="l", dtype="float", shape=(2,)),), IDENTITY.outputs)
WRITERS: list[dict[str, Any]] = [
    {}, {"compression": "zstd", "use_dictionary": False}, {"compression": "none", "data_page_version": "2.0"},
    {"compression": "gzip", "row_group_size": 2}, {"compression": "brotli", "data_page_size": 64},
]  # fmt: skip


def parquet(table: pa.Table, **options: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, **options)
    return out.getvalue()


def x(values: Sequence[Any], kind: pa.DataType | None = None, **options: Any) -> bytes:
    return parquet(pa.table({"x": pa.array(values, kind)}), **options)


def column_of(tensor: Sent) -> pa.Array:
    flat = pa.array(tensor.values, NUMBERS[tensor.datatype])
    if tensor.column.dtype == "datetime":
        moments = [dt.datetime.fromisoformat(value) for value in tensor.values]
        flat = pa.array([m if m.tzinfo is None else m.astimezone(dt.UTC).replace(tzinfo=None) for m in moments])
        flat = flat.cast(pa.timestamp("us"))
    if tensor.column.shape is None:
        return flat
    size = int(np.prod(tensor.column.shape))
    return pa.FixedSizeListArray.from_arrays(flat, size).cast(pa.list_(flat.type))


@settings(max_examples=100, deadline=None)
@given(tensors(), st.sampled_from(WRITERS))
def test_parquet_and_json_are_the_same_rows(sent: list[Sent], writer: dict[str, Any]) -> None:
    exact = [
        t for t in sent if not any(isinstance(v, int) and abs(v) > 2**53 for v in t.values) or t.column.dtype == "long"
    ]
    signature = Signature(tuple(tensor.column for tensor in exact), ())
    expected = infer_json.decode_infer(json_request(exact), signature)
    table = pa.table({tensor.column.name: column_of(tensor) for tensor in exact})
    found = decode_parquet(parquet(table.append_column("more", pa.nulls(table.num_rows)), **writer), signature)
    assert same_rows(found, expected.rows, signature)


def test_what_pandas_writes_is_read() -> None:
    frame = pd.DataFrame([ROW] * 3).assign(at=pd.Timestamp("2013-08-01T05:15:00"), carrier=pd.Categorical(["UA"] * 3))
    frame["seats"], frame["rate"] = frame["seats"].astype("int32"), frame["rate"].astype("float32")
    frame = frame.drop(columns="note").set_index(pd.Index([7, 8, 9]))
    out = io.BytesIO()
    frame.to_parquet(out)
    batch = to_batch([decode_parquet(out.getvalue(), SIGNATURE)], SIGNATURE)
    assert batch.schema == SIGNATURE.schema
    assert batch.column("carrier").to_pylist() == ["UA"] * 3
    assert batch.column("at").to_pylist() == [dt.datetime.fromisoformat(ROW["at"])] * 3
    assert batch.column("note").null_count == 3


@pytest.mark.parametrize("rows", [0, 1])
def test_no_rows_and_nulls(rows: int) -> None:
    batch = to_batch([decode_parquet(x([None] * rows, pa.float64()), X)], X)
    assert (batch.num_rows, batch.schema) == (rows, X.schema)
    optional = Signature((Column(name="y", dtype="double", required=False),), IDENTITY.outputs)
    assert to_batch([decode_parquet(x([1.0] * rows), optional)], optional).to_pydict() == {"y": [None] * rows}


def test_nan_is_missing_and_a_null_in_a_tensor_is_nan() -> None:
    assert to_batch([decode_parquet(x([1.0, float("nan")]), X)], X).to_pydict() == {"x": [1.0, None]}
    body = parquet(pa.table({"l": pa.array([[1.0, None]], pa.list_(pa.float32()))}))
    (row,) = to_batch([decode_parquet(body, L)], L).column(0).to_pylist()
    assert row[0] == 1.0
    assert np.isnan(row[1])


LISTS = pa.list_(pa.float32())
NARROW = Signature((Column(name="x", dtype="float"),), ())
LONG = b"PAR1" + bytes(FOOTER_BYTES + 1) + (FOOTER_BYTES + 1).to_bytes(4, "little") + b"PAR1"
SHORT_ROW = parquet(pa.table({"l": pa.array([[1.0, 2.0], [4711.0]], LISTS)}))
NULL_ROW = parquet(pa.table({"l": pa.array([[1.0, 2.0], None], LISTS)}))
NOT_UTF8 = parquet(pa.table({"t": pa.array([b"a", b"\xff4711"]).view(pa.string())}))
NOT_UTF8_PAIR = parquet(
    pa.table({"p": pa.ListArray.from_arrays([0, 2], pa.array([b"a", b"\xff4711"]).view(pa.string()))})
)
REFUSED: dict[str, tuple[bytes, Signature, str]] = {
    "a column is missing": (parquet(pa.table({"y": [1.0]})), X, "lacks 1 of the model's input columns: 'x'"),
    "another type": (x(["4711"]), X, "column 'x': expected double, got Parquet's form of string"),
    "a narrower column": (x([4711.5], pa.float64()), NARROW, "expected float, got"),
    "a decimal": (x([4711], pa.decimal128(9)), X, "expected double, got Parquet's form of decimal"),
    "a struct": (x([{"secret": 1}]), X, "expected double, got Parquet's form of struct"),
    "a list": (x([[1.0]]), X, "expected double, got Parquet's form of list"),
    "given twice": (
        parquet(pa.Table.from_arrays([pa.array([1.0])] * 2, names=["x", "x"])), X, "columns are given twice: x"
    ),
    "a short tensor": (SHORT_ROW, L, "row 1: column l does not hold 2 values"),
    "no tensor": (NULL_ROW, L, "field 'l', row 1: expected a tensor, got null"),
    "no UTF-8": (NOT_UTF8, T, "row 1: column t is not valid UTF-8"),
    "no UTF-8 in a tensor": (
        NOT_UTF8_PAIR,
        Signature((Column(name="p", dtype="string", shape=(2,)),), ()),
        "row 0: column p is not valid UTF-8",
    ),
    "nanoseconds": (
        parquet(pa.table({"at": pa.array([4711], pa.timestamp("ns"))})),
        Signature((Column(name="at", dtype="datetime"),), ()),
        "a number or a time is more precise than its column's type",
    ),
    "an integer beyond double": (x([2**60 + 1]), X, "more precise than its column's type"),
    "no file": (b"", X, "does not begin and end with PAR1"),
    "JSON": (b'{"inputs": [4711]}', X, "does not begin and end with PAR1"),
    "the start only": (x([1.0])[:20], X, "does not begin and end with PAR1"),
    "nothing between": (b"PAR1" * 3, X, "its footer is longer than"),
    "an empty footer": (b"PAR1" + bytes(4) + b"PAR1", X, "its footer: cut off"),
    "a long footer": (LONG, X, "its footer is longer than"),
    "encrypted": (x([1.0])[:-4] + b"PARE", X, "does not begin and end with PAR1"),
    "texts by what they share": (
        parquet(pa.table({"t": ["a" * 9] * 9}), use_dictionary=False, column_encoding={"t": "DELTA_BYTE_ARRAY"}),
        T,
        "texts are in the encoding DELTA_BYTE_ARRAY",
    ),
}  # fmt: skip


# Its footer has a histogram of another length than its column; pyarrow's object for that column ends the process.
ENDS_THE_PROCESS = base64.b64decode(
    "UEFSMRUEFQAVAkwVABUAEgAAABUAFQ4VEiwVBBUQFQYVBhw2BAAAAAcYAgAAAAQAABUEGSw1ABgGc2NoZW1hFQIAFQIlChgBeAAWBBkcGRwmABwV"
    "Chk1AAYQGRgBeBUCFgQWVBZaJiYmCBw2BAAZLBUEFQAVAgAVABUQFQIAPCkGGSYEAAAAABZUFgQmCBZaACggcGFycXVldC1jcHAtYXJyb3cgdmVy"
    "c2lvbiAyNS4wLjEZHBwAAACIAAAAUEFSMQ=="
)


def test_a_file_that_pyarrows_metadata_does_not_survive_is_refused() -> None:
    with pytest.raises(RequestInvalid, match="is not a valid Parquet file"):
        decode_parquet(ENDS_THE_PROCESS, X)


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_without_the_value(case: str) -> None:
    body, signature, message = REFUSED[case]
    with pytest.raises(RequestInvalid, match=message) as caught:
        decode_parquet(body, signature)
    assert "4711" not in str(caught.value)


MIB = 2**20
BOMBS: dict[str, tuple[bytes, Signature]] = {
    "zeros, compressed": (x(np.zeros(500_000), compression="zstd", use_dictionary=False), X),
    "zeros, in a dictionary": (x(np.zeros(500_000), compression="none"), X),
    "one long text again and again": (parquet(pa.table({"t": ["x" * 10_000] * 2000})), T),
    "... compressed": (parquet(pa.table({"t": ["x" * 10_000] * 2000}), use_dictionary=False, compression="zstd"), T),
    "a row of very many elements": (parquet(pa.table({"l": pa.array([[1.0] * 500_000], LISTS)})), L),
    "rows without columns": (x(np.zeros(500_000)), Signature((Column(name="y", dtype="double", required=False),), ())),
}  # fmt: skip


@pytest.mark.parametrize("case", BOMBS)
def test_a_small_file_that_decodes_to_much_is_refused(case: str) -> None:
    body, signature = BOMBS[case]
    assert len(body) < 100_000
    before = pa.default_memory_pool().max_memory()
    with pytest.raises(DecodedTooLarge, match="decodes to more than 1048576 bytes"):
        decode_parquet(body, signature, most_bytes=MIB)
    assert pa.default_memory_pool().max_memory() - before < 4 * MIB
    if signature is not L:
        assert decode_parquet(body, signature, most_bytes=DECODED_BYTES).num_rows >= 2000


def zigzag(value: int) -> bytes:
    """A number as Thrift's compact protocol has it."""
    number, out = value << 1, bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def test_a_file_that_lies_is_refused() -> None:
    rows, others = 1234, 5678
    honest = x([0.5] * rows, use_dictionary=False, compression="none")
    places = [place for place in range(len(honest)) if honest.startswith(zigzag(rows), place)]
    assert len(places) >= 4  # of the page, its levels, the column, the row group, the file
    for place in places:
        lying = honest[:place] + zigzag(others) + honest[place + len(zigzag(others)) :]
        assert len(lying) == len(honest)
        found = lied(lying)
        assert found is None or found == [0.5] * rows  # else what it lies about is not used


def lied(body: bytes) -> list[Any] | None:
    """Return the values of a file; none when it is refused as no valid file."""
    try:
        return list(to_batch([decode_parquet(body, X)], X).column("x").to_pylist())
    except RequestInvalid as error:
        return None if "is not a valid Parquet file" in str(error) else [str(error)]


def test_a_page_that_declares_more_than_its_column_is_refused_before_it_is_allocated() -> None:
    rows = 2000
    honest = x(np.random.default_rng(1).random(rows), use_dictionary=False, compression="snappy")
    # Of the page header: its type, then its size once decompressed: values, and the levels of nulls before them.
    size = next(zigzag(size) for size in range(rows * 8, rows * 8 + 40) if honest[6:].startswith(zigzag(size), 1))
    lying = honest[:7] + zigzag(MIB - 1) + honest[7 + len(size) :]
    assert len(lying) == len(honest)
    assert decode_parquet(honest, X, most_bytes=MIB // 2).num_rows == rows
    before = pa.total_allocated_bytes()
    with pytest.raises(DecodedTooLarge):
        decode_parquet(lying, X, most_bytes=MIB // 2)
    with pytest.raises(RequestInvalid, match="not a valid Parquet file: Arrow cannot read it"):
        decode_parquet(lying, X)
    assert pa.total_allocated_bytes() == before


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([body for body, _, _ in REFUSED.values()] + [x([1.0, 2.0]), x([1.5] * 100)]), st.data())
def test_a_damaged_file_is_read_or_refused_but_never_breaks(body: bytes, data: st.DataObject) -> None:
    broken = bytearray(body[:5000])
    for _ in range(data.draw(st.integers(1, 5))):
        place = data.draw(st.integers(0, max(len(broken) - 1, 0)))
        if data.draw(st.booleans()) and broken:
            broken[place] = data.draw(st.integers(0, 255))
        else:
            broken[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    signature = data.draw(st.sampled_from([X, T, L, SIGNATURE, ALL_TYPES]))
    try:
        decode_parquet(bytes(broken), signature, most_bytes=MIB)
    except RequestInvalid:
        pass
