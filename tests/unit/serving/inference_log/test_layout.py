"""Columns of the log have one name each, and a file says what they are."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.run.plan import Column
from lockstep.scoring.staged import stamp_columns
from lockstep.serving.inference_log.layout import AFTER, METADATA, OWN, LoggedColumn, layout_of, logged_columns
from tests.unit.serving.inference_log.micro_batches import layout

NAMES = st.lists(st.sampled_from([*OWN, "a", "input_a", "output_a", "input_row"]), unique=True, max_size=8)


def columns(names: list[str]) -> tuple[Column, ...]:
    return tuple(Column(name=name, dtype="double") for name in names)


def policies(found: tuple[LoggedColumn, ...]) -> dict[str, str]:
    return {each.column.name: each.policy for each in found}


@given(inputs=NAMES, outputs=NAMES)
def test_whatever_a_model_calls_its_columns_no_name_is_there_twice(inputs: list[str], outputs: list[str]) -> None:
    found = logged_columns(columns(inputs), columns(outputs), {}, unlisted="keep")
    names = [*OWN, *(each.name for side in found for each in side)]
    assert len(set(names)) == len(names)
    assert [[each.column.name for each in side] for side in found] == [inputs, outputs]
    for side in found:
        assert all(each.name.endswith(each.column.name) for each in side)


def test_an_output_keeps_its_name_before_an_input() -> None:
    inputs, outputs = logged_columns(columns(["x", "y", "row"]), columns(["y", "arm"]), {}, unlisted="keep")
    assert [each.name for each in inputs] == ["x", "input_y", "input_row"]
    assert [each.name for each in outputs] == ["y", "output_arm"]


def test_what_is_sensitive_is_kept_only_where_a_policy_says_so() -> None:
    given_columns = columns(["a", "b", "c", "d"])
    found, _ = logged_columns(given_columns, (), {"a": "keep", "b": "hash"}, unlisted="keep", sensitive=("a", "b", "c"))
    assert policies(found) == {"a": "keep", "b": "hash", "c": "drop", "d": "keep"}
    found, _ = logged_columns(given_columns, (), {}, unlisted="null", sensitive=("a",))
    assert set(policies(found).values()) == {"null"}


def test_a_file_says_what_it_holds() -> None:
    made = layout({"carrier": "hash", "note": "drop"})
    schema = made.arrow_schema
    assert layout_of(pa.ipc.read_schema(schema.serialize())) == made
    assert schema.field("carrier").type == pa.string()
    assert "note" not in schema.names
    with pytest.raises(ValueError, match="does not say"):
        layout_of(pa.schema([("x", pa.int64())]))
    with pytest.raises(ValueError, match="not of this version"):
        layout_of(schema.with_metadata({METADATA: b'{"format": 2}'}))


def test_rows_have_the_stamps_of_a_batchs_rows_by_name_and_type() -> None:
    class Planned:
        model = type("Model", (), {"name": "m", "version": 1, "digest": "d"})
        run_key, planned_at = "r", None

    stamps = stamp_columns(Planned())  # type: ignore[arg-type]
    assert {name: value.type for name, value in stamps.items()} == {name: AFTER[name] for name in stamps}
