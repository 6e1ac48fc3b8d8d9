"""Rows and scores between two workers keep every bit; what is damaged is refused."""

import numpy as np
import orjson
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lockstep.run.plan import Column
from lockstep.scoring.scorer import FEW_ROWS, ScoredBatch
from lockstep.scoring.signature import Signature
from lockstep.serving.formats import decode_json
from lockstep.serving.infer_json import decode_infer
from lockstep.serving.one_copy.contents import read_rows, read_scores, write_rows, write_scores
from lockstep.serving.one_copy.errors import FrameInvalid
from lockstep.serving.rows import PlainRows, Rows, to_batch
from tests.unit.serving.tensor_requests import ALL_TYPES, Sent, json_request, same_rows, tensors
from tests.unit.serving.toy import ROW, SIGNATURE

PLAIN = Signature(
    (Column(name="x", dtype="double"), Column(name="s", dtype="string")), (Column(name="y", dtype="double"),)
)
BODY = b'{"dataframe_records": [%s]}'


@given(st.lists(st.floats(width=64), max_size=20))
def test_scores_keep_every_bit(values: list[float]) -> None:
    numbers, texts = np.array(values), np.array([str(value) for value in values], object)
    pairs = np.array([(value, 1) for value in values], np.float64).reshape(-1, 2)
    header, parts = write_scores(ScoredBatch((numbers, texts, pairs), dict.fromkeys(range(len(values)), "why")))
    found = read_scores(header, b"".join(parts), rows=len(values))
    assert [array.tobytes() for array in (found.outputs[0], found.outputs[2])] == [numbers.tobytes(), pairs.tobytes()]
    assert found.outputs[1].tolist() == texts.tolist()
    assert found.reasons == dict.fromkeys(range(len(values)), "why")


def test_damaged_scores_are_refused() -> None:
    header, parts = write_scores(ScoredBatch((np.arange(3.0),), {1: "why"}))
    body = b"".join(parts)
    for wrong_header, wrong_body, rows in (
        (header, body[:-1], 3),
        (header, body + bytes(16), 3),
        (header, body, 4),
        ({**header, "outputs": [["O", [3], 24]]}, body, 3),
        ({**header, "outputs": [["<f8", [-3], 24]]}, body, 3),
        ({**header, "reasons": [[3, "why"]]}, body, 3),
        ({}, body, 3),
    ):
        with pytest.raises(FrameInvalid):
            read_scores(wrong_header, wrong_body, rows=rows)


@settings(deadline=None)
@given(tensors())
def test_rows_of_every_type_arrive_as_they_were(sent: list[Sent]) -> None:
    for rows in (
        decode_infer(json_request(sent), ALL_TYPES).rows,
        to_batch([decode_infer(json_request(sent), ALL_TYPES).rows], ALL_TYPES),
    ):
        header, body = write_rows(rows, ALL_TYPES)
        assert same_rows(read_rows(header, bytes(body), ALL_TYPES), rows, ALL_TYPES)


@given(values=st.lists(st.floats(width=64) | st.none(), max_size=2 * FEW_ROWS), apart=st.booleans())
@example(values=[float("nan"), None, -0.0], apart=False)  # a null is no NaN, and stays what it is
@example(values=[float("nan"), None, -0.0], apart=True)
def test_numbers_and_texts_arrive_with_every_bit(values: list[float | None], apart: bool) -> None:
    texts = [None if value is None else str(value) for value in values]
    given_rows: Rows = pa.RecordBatch.from_arrays(
        [pa.array(values, pa.float64()), pa.array(texts, pa.string())], schema=PLAIN.schema
    )
    if apart:
        given_rows = PlainRows((values, texts), len(values), 32 * len(values))
    header, body = write_rows(given_rows, PLAIN)
    found = read_rows(header, bytes(body), PLAIN)
    assert same_rows(found, given_rows, PLAIN)
    assert isinstance(found, PlainRows) == (apart and 0 < len(values) <= FEW_ROWS)


def test_rows_that_are_damaged_are_refused() -> None:
    rows = decode_json(BODY % orjson.dumps(ROW), SIGNATURE)
    header, body = write_rows(rows, SIGNATURE)
    found = read_rows(header, bytes(body), SIGNATURE)
    assert to_batch([found], SIGNATURE).equals(to_batch([rows], SIGNATURE))
    for wrong in (({**header, "rows": 2}, bytes(body)), (header, bytes(body)[:40]), (header, b"")):
        with pytest.raises(FrameInvalid):
            read_rows(*wrong, SIGNATURE)
