"""A row of the log says what was asked, what was answered, by whom and how fast; whatever it was scored with."""

import datetime as dt
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.run.plan import Column
from lockstep.scoring.signature import ELEMENT_TYPES, Signature
from lockstep.serving.inference_log.hand_over import Entry, HandOver
from lockstep.serving.inference_log.layout import Layout, logged_columns
from lockstep.serving.inference_log.recording import record
from lockstep.serving.trace import Trace
from tests.unit.serving.inference_log.micro_batches import layout, micro_batch, row, trace
from tests.unit.serving.toy import BLOCK_ROWS, IDENTITY, SIGNATURE

EVER = float("inf")


def entries_of(made: Layout, *batches: list[tuple[Any, int, int]]) -> list[Entry]:
    hand_over = HandOver(most_rows=10**9, most_bytes=10**12, sample=1)
    for batch in batches:
        hand_over.put(made, micro_batch(batch, plain=len(batch) % 3 > 0))
    return hand_over.take(until=EVER, most_requests=10**9)


def written(entries: list[Entry]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = record(entries, take_ids=np.arange, salt=b"s" * 64).to_pylist()
    return found


@given(
    batches=st.lists(
        st.lists(st.tuples(st.booleans(), st.integers(0, 9), st.integers(0, 6)), min_size=1, max_size=4),
        min_size=1,
        max_size=5,
    )
)
@settings(deadline=None, max_examples=60)
def test_every_row_is_written_as_it_was_scored_however_rows_were_put_together(
    batches: list[list[tuple[bool, int, int]]],
) -> None:
    parts = [
        [
            (trace(f"{b}-{n}", arm="b" if n else "") if known else None, start, count)
            for n, (known, start, count) in enumerate(batch)
        ]
        for b, batch in enumerate(batches)
        if sum(count for _, _, count in batch)
    ]
    entries = entries_of(layout(), *parts)
    if not entries:
        return
    expected = [
        (label.request_id, place, row(place), label.arm or None, sum(count for _, _, count in batch))
        for batch in parts
        for label, start, count in batch
        if label is not None
        for place in range(start, start + count)
    ]
    found = written(entries)
    assert [
        (
            each["request_id"],
            each["row"],
            {name: each[name] for name in SIGNATURE.names},
            each["arm"],
            each["batch_rows"],
        )
        for each in found
    ] == expected
    for each in found:
        alone = micro_batch([(None, each["row"], 1)]).scores
        assert (each["reason"] is None) == (not alone.reasons)
        assert each["probability"] == (None if alone.reasons else float(alone.values[0]))
    assert len({each["log_id"] for each in found}) == len(found)


def test_a_row_names_its_model_and_its_request() -> None:
    asked = trace("abc", client="somebody")
    asked.stages_s.update(decode=0.5, queue=0.25, compute=0.125, encode=1.0)
    [entry] = entries_of(layout(), [(asked, 0, 1)])
    entry = entry._replace(clock=asked.began + 3.0, scored_at=1_700_000_000.25)
    [found] = written([entry])
    assert found["total_s"] == pytest.approx(4.0)
    del found["total_s"]
    assert {name: found[name] for name in found if name not in SIGNATURE.names and name != "probability"} == {
        "log_id": 0,
        "request_id": "abc",
        "row": 0,
        "reason": None,
        "model_name": IDENTITY.name,
        "model_version": IDENTITY.version,
        "model_digest": IDENTITY.digest,
        "run_key": None,
        "scored_at": dt.datetime(2023, 11, 14, 22, 13, 20, 250_000, tzinfo=dt.UTC),
        "arm": None,
        "edge": "invocations",
        "client": "somebody",
        "queue_s": 0.25,
        "compute_s": 0.125,
        "batch_rows": 1,
        "precision": "float32",
        "device": "cpu",
        "block_rows": BLOCK_ROWS,
    }


def test_a_time_that_is_not_known_is_null() -> None:
    [found] = written(entries_of(layout(), [(Trace("never answered"), 0, 1)]))
    assert (found["queue_s"], found["compute_s"], found["total_s"]) == (None, None, None)


def test_policies_are_followed_before_anything_is_written() -> None:
    made = layout(
        {"carrier": "hash", "distance": "null", "at": "drop", "probability": "null"},
        personal={"client": "hash", "request_id": "drop"},
    )
    found = written(entries_of(made, [(trace("r", client="somebody"), 0, 3)]))
    for each in found:
        assert "at" not in each
        assert "request_id" not in each
        assert each["distance"] is each["probability"] is None
        assert len(each["client"]) == 32
    assert [None if each["carrier"] is None else len(each["carrier"]) for each in found] == [32, 32, None]
    assert found[0]["carrier"] != found[1]["carrier"]


@pytest.mark.parametrize("dtype", sorted(ELEMENT_TYPES))
def test_tensors_of_every_type_are_written_and_a_null_one_too(dtype: str) -> None:
    columns = (Column(name="x", dtype=dtype, shape=(2, 2)),)
    signature = Signature(columns, (Column(name="y", dtype="float", shape=(3,)),))
    inputs, outputs = logged_columns(signature.inputs, signature.outputs, {}, unlisted="keep")
    made = layout().model_copy(update={"inputs": inputs, "outputs": outputs})
    kind = signature.schema.field("x").type
    flat = (
        pa.array(["a", "b", None, "d"] if dtype == "string" else [True, False, True, True], kind.value_type)
        if dtype in {"string", "boolean"}
        else pa.array(np.array([1, 2, 3, 4]).astype(kind.value_type.to_pandas_dtype()))
    )
    value = pa.FixedSizeListArray.from_arrays(flat, 4)
    tensors = pa.concat_arrays([value, pa.nulls(1, kind)])
    batch = pa.RecordBatch.from_arrays([tensors], schema=signature.schema)
    outputs = (np.array([[1, 2, 3], [np.nan] * 3], np.float32),)
    entry = Entry(made, (trace("t"),), (0,), (2,), batch, 2, outputs, {1: "null_refused: x"}, 0.0, 0.0, 0)
    found = record([entry], take_ids=np.arange, salt=b"")
    assert found.column("x").to_pylist() == tensors.to_pylist()
    assert found.column("y").slice(0, 1).to_pylist() == [[1, 2, 3]]
    assert found.column("reason").to_pylist() == [None, "null_refused: x"]
