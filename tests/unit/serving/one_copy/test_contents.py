"""Rows and scores between two workers keep every bit; what is damaged is refused."""

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.scoring.scorer import ScoredBatch
from lockstep.serving.formats import decode_json
from lockstep.serving.one_copy.contents import read_rows, read_scores, write_rows, write_scores
from lockstep.serving.one_copy.errors import FrameInvalid
from lockstep.serving.rows import to_batch
from tests.unit.serving.toy import ROW, SIGNATURE

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


def test_rows_arrive_as_they_were() -> None:
    rows = decode_json(BODY % orjson.dumps(ROW), SIGNATURE)
    header, body = write_rows(rows, SIGNATURE)
    found = read_rows(header, bytes(body), SIGNATURE)
    assert to_batch([found], SIGNATURE).equals(to_batch([rows], SIGNATURE))
    for wrong in (({**header, "rows": 2}, bytes(body)), (header, bytes(body)[:40]), (header, b"")):
        with pytest.raises(FrameInvalid):
            read_rows(*wrong, SIGNATURE)
