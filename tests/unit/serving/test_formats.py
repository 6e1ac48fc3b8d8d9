"""Every encoding of the same rows decodes to the same batch; what does not fit is refused, with the place."""

import csv
import datetime as dt
import io
import json
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.errors import RequestInvalid
from lockstep.scoring.scorer import Scorer
from lockstep.scoring.signature import Signature
from lockstep.serving.tensors import DATATYPES
from tests.unit.serving.toy import BLOCK_ROWS, SIGNATURE, ToyBackend, csv_batch, infer_batch, json_batch

Rows = list[dict[str, Any]]

texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00\r\n"), min_size=1, max_size=5)
numbers = st.floats(allow_nan=False, allow_infinity=False)
moments = st.datetimes(min_value=dt.datetime.fromisoformat("1900-01-01")).map(dt.datetime.isoformat)
rows_strategy = st.lists(
    st.fixed_dictionaries(
        {
            "carrier": st.none() | texts,
            "distance": st.none() | numbers | st.integers(-(2**53), 2**53),
            "rate": st.none() | st.floats(width=32, allow_nan=False, allow_infinity=False),
            "seats": st.none() | st.integers(-(2**31), 2**31 - 1),
            "flight": st.none() | st.integers(-(2**63), 2**63 - 1),
            "wet": st.none() | st.booleans(),
            "at": st.none() | moments,
            "note": st.none() | texts,
        }
    ).map(lambda row: {name: row[name] for name in SIGNATURE.schema.names}),
    min_size=1,
    max_size=12,
)


def _dump(value: Any) -> bytes:
    return json.dumps(value).encode()


def _columns(rows: Rows) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in SIGNATURE.schema.names}


def _tensors(rows: Rows) -> dict[str, Any]:
    kinds = {column.name: DATATYPES[column.dtype][0] for column in SIGNATURE.inputs}
    inputs = [
        {"name": name, "datatype": kinds[name], "shape": [len(rows)], "data": values}
        for name, values in _columns(rows).items()
    ]
    return {"inputs": inputs}


def _csv(rows: Rows) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(rows[0])
    for row in rows:
        writer.writerow(["" if v is None else repr(v) if isinstance(v, float) else v for v in row.values()])
    return out.getvalue().encode()


def encodings(rows: Rows) -> dict[str, pa.RecordBatch]:
    columns = _columns(rows)
    nan = {name: [math.nan if v is None else v for v in values] for name, values in columns.items()}
    split = {"columns": list(columns), "data": [list(row.values()) for row in rows], "index": list(range(len(rows)))}
    jsons = {
        "split": {"dataframe_split": split},
        "records": {"dataframe_records": rows},
        "instances": {"instances": rows},
        "instances by column": {"instances": columns},
        "inputs": {"inputs": columns},
        "inputs with NaN": {"inputs": nan},
    }
    decoded = {name: json_batch(_dump(body), SIGNATURE) for name, body in jsons.items()}
    decoded["csv"] = csv_batch(_csv(rows), SIGNATURE)
    decoded["open inference"] = infer_batch(_dump(_tensors(rows)))
    return decoded


@settings(max_examples=60, deadline=None)
@given(rows_strategy)
def test_all_encodings_decode_to_the_same_batch(rows: Rows) -> None:
    first, *others = encodings(rows).items()
    for name, batch in others:
        assert batch.equals(first[1]), f"{name} differs from {first[0]}"
        assert batch.schema == SIGNATURE.schema


@settings(max_examples=30, deadline=None)
@given(rows_strategy, st.integers(1, 2 * BLOCK_ROWS))
def test_a_row_scores_the_same_bits_in_a_request_of_any_size(rows: Rows, size: int) -> None:
    scorer = Scorer(ToyBackend(), SIGNATURE, block_rows=BLOCK_ROWS)

    def score(part: Rows) -> np.ndarray[Any, np.dtype[np.float64]]:
        return scorer.score(json_batch(_dump({"dataframe_records": part}), SIGNATURE)).values

    whole = score(rows)
    parts = np.concatenate([score(rows[start : start + size]) for start in range(0, len(rows), size)])
    assert whole.tobytes() == parts.tobytes()


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": list(SIGNATURE.schema.names), "data": []}},
        {"dataframe_records": []},
        {"instances": []},
        {"inputs": {name: [] for name in SIGNATURE.schema.names}},
    ],
)
def test_no_rows_is_an_empty_batch(body: dict[str, Any]) -> None:
    batch = json_batch(_dump(body), SIGNATURE)
    assert (batch.num_rows, batch.schema) == (0, SIGNATURE.schema)


def test_csv_with_a_header_only_is_an_empty_batch() -> None:
    assert csv_batch(",".join(SIGNATURE.schema.names).encode(), SIGNATURE).num_rows == 0


def test_inputs_of_single_values_are_one_row(row: dict[str, Any]) -> None:
    assert json_batch(_dump({"inputs": row}), SIGNATURE).num_rows == 1


def test_extra_columns_are_dropped_in_every_encoding(row: dict[str, Any]) -> None:
    plain = json_batch(_dump({"dataframe_records": [row]}), SIGNATURE)
    wider = [{"colour": "red", **row, "size": 3}]
    split = {"columns": list(wider[0]), "data": [list(wider[0].values())]}
    assert json_batch(_dump({"dataframe_records": wider}), SIGNATURE).equals(plain)
    assert json_batch(_dump({"dataframe_split": split}), SIGNATURE).equals(plain)
    assert json_batch(_dump({"inputs": {k: [v] for k, v in wider[0].items()}}), SIGNATURE).equals(plain)
    assert csv_batch(_csv(wider), SIGNATURE).equals(plain)


def _with(row: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**row, **changes}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b'{"inputs": NaN', "not valid JSON"),
        (b"\xff", "not valid JSON"),
        (b"[1]", "must be a JSON object, got an array"),
        (b"NaN", "must be a JSON object, got a number"),
        (b"[" * 100_000, "not valid JSON"),
        (b"[" * 100_000 + b"NaN", "nested too deeply"),
        (b"NaN" + b"1" * 5000, "not valid JSON"),
        (b"{}", "exactly one of the fields .* got none of them"),
        (b'{"columns": [], "data": []}', "got none of them"),
        (b'{"inputs": {}, "instances": []}', "got instances, inputs"),
        (b'{"dataframe_split": []}', "must be an object with columns and data, got an array"),
        (b'{"dataframe_split": {"data": []}}', "must have the fields columns and data"),
        (b'{"dataframe_split": {"columns": [], "data": [], "x": 1}}', "no other"),
        (b'{"dataframe_split": {"columns": [1], "data": []}}', "columns must be an array of strings"),
        (b'{"dataframe_split": {"columns": [], "data": {}}}', "data must be an array of rows, got an object"),
        (b'{"dataframe_split": {"columns": ["a"], "data": [[1], 2]}}', "row 1: expected an array of 1 values"),
        (b'{"dataframe_split": {"columns": ["a"], "data": [[1], [1, 2]]}}', "row 1: expected an array of 1 values"),
        (b'{"dataframe_split": {"columns": ["rate", "rate"], "data": []}}', "given twice: rate"),
        (b'{"dataframe_records": {}}', "must be an array of records, got an object"),
        (b'{"instances": [1]}', "row 0: expected an object, got an integer"),
        (b'{"inputs": 5}', "must be an array of records, got an integer"),
        (b'{"inputs": {}}', "lacks 7 of the model's input columns"),
        (b'{"inputs": {"carrier": ["a"], "rate": 1}}', "an array for every column, or one value for every"),
    ],
)
def test_what_does_not_fit_the_protocol_is_refused(body: bytes, message: str, signature: Signature) -> None:
    with pytest.raises(RequestInvalid, match=message):
        json_batch(body, signature)


@pytest.mark.parametrize("form", ["dataframe_records", "instances"])
def test_a_record_that_lacks_a_column_is_refused_as_it_would_be_alone(form: str, row: dict[str, Any]) -> None:
    short = {name: value for name, value in row.items() if name != "rate"}
    with pytest.raises(RequestInvalid, match="row 1: lacks column 'rate'; send null"):
        json_batch(_dump({form: [row, short]}), SIGNATURE)
    with pytest.raises(RequestInvalid, match="lacks 1 of the model's input columns"):
        json_batch(_dump({form: [short]}), SIGNATURE)


def test_a_record_may_lack_a_column_that_is_not_required(row: dict[str, Any]) -> None:
    short = {name: value for name, value in row.items() if name != "note"}
    batch = json_batch(_dump({"dataframe_records": [short, _with(row, note="x")]}), SIGNATURE)
    assert batch.column("note").to_pylist() == [None, "x"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "expected a header line"),
        (b"\xff\xfe", "not UTF-8"),
        (b'a,b\n"1', "not valid CSV"),
        (b"a,b\n1\n", "CSV row 0: expected 2 values as in the header, got 1"),
        (b"rate,rate\n1,2\n", "given twice: rate"),
        (b"rate\n1\n", "lacks 6 of the model's input columns"),
    ],
)
def test_bad_csv_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(RequestInvalid, match=message):
        csv_batch(body, SIGNATURE)


@pytest.mark.parametrize("cell", ["4711x", "1_0", "0x12", "True"])
def test_a_csv_cell_that_is_no_number_is_refused_without_showing_it(cell: str, row: dict[str, Any]) -> None:
    with pytest.raises(
        RequestInvalid, match="field 'distance', row 0: expected a number or null, got a string"
    ) as caught:
        csv_batch(_csv([_with(row, distance=cell)]), SIGNATURE)
    assert cell not in str(caught.value)


def test_csv_text_that_looks_missing_is_text_and_only_an_empty_cell_is_missing(row: dict[str, Any]) -> None:
    rows = [_with(row, carrier="NA"), _with(row, carrier="nan"), _with(row, carrier="")]
    assert csv_batch(_csv(rows), SIGNATURE).column("carrier").to_pylist() == ["NA", "nan", None]


@pytest.mark.parametrize("cell", ["", "NaN", "nan", "NA", "null"])
def test_a_missing_number_in_csv_is_missing(cell: str, row: dict[str, Any]) -> None:
    batch = csv_batch(_csv([_with(row, distance=cell, wet=cell, seats=cell)]), SIGNATURE)
    assert [batch.column(name).to_pylist() for name in ("distance", "wet", "seats")] == [[None]] * 3


def test_pandas_csv_reads_back_exactly(row: dict[str, Any]) -> None:
    import pandas as pd

    frame = pd.DataFrame([_with(row, distance=0.1 + 0.2), _with(row, distance=None)])
    assert csv_batch(frame.to_csv(index=False).encode(), SIGNATURE).column("distance").to_pylist() == [0.1 + 0.2, None]
