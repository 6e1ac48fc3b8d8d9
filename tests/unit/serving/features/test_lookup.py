import datetime as dt
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.publish.online.contract import OnlineShape, PartitionLoad
from lockstep.serving.features.errors import LookupKeyInvalid
from lockstep.serving.features.lookup import Day, Hit, Lookup, LookupRequest, answer, days_asked
from tests.unit.publish.online.loads import DAY, TABLE, day, load, run_rows

MORNING = dt.datetime.combine(DAY, dt.time(), dt.UTC)


def loaded(made: PartitionLoad) -> tuple[Day, dict[bytes, bytes]]:
    """A day as a store has it, and its rows by key."""
    rows = {key: content for chunk in made.content.chunks(100) for key, content in chunk}
    return Day(made.as_loaded("1")), rows


def ask(*loads: PartitionLoad, now: dt.datetime = MORNING, **request: Any) -> Lookup:
    """Look up in these days, the newest first, as a reader does."""
    known = dict(loaded(made) for made in loads)
    asked = LookupRequest(TABLE, **{"keys": {"id": [0, 1, 99]}, **request})
    days = days_asked(list(known), asked)
    keys = days[0].keys(asked) if days else [b""] * asked.rows
    hits: list[Hit | None] = [next(((d, known[d][key]) for d in days if key in known[d]), None) for key in keys]
    return answer(asked, hits, days=days, now=now)


@given(st.integers(0, 10**7), st.none() | st.integers(0, 10**7))
def test_a_row_is_stale_beyond_the_maximum_age_and_then_shows_no_value(age_s: int, most: int | None) -> None:
    found = ask(load("a", 1), now=MORNING + dt.timedelta(seconds=age_s), max_age_s=most)
    fresh = most is None or age_s <= most
    assert found.states == (*["found" if fresh else "stale"] * 2, "missing")
    assert found.predictions.column("risk").to_pylist() == ([0.0, 0.125, None] if fresh else [None] * 3)
    assert [one and one.age_s for one in found.provenance] == [age_s, age_s, None]
    assert found.found.tolist() == [fresh, fresh, False]


def test_days_of_different_columns_answer_in_those_of_all() -> None:
    narrow = run_rows("old").set_column(1, "risk", pa.array([0.5] * 6, pa.float32()))
    wide = run_rows("new", rows=1).append_column("margin", pa.array(["wide"]))
    shape = OnlineShape(key=("id",), columns=("risk", "margin"))
    found = ask(load("new", 1, partition=day(1), rows=wide, shape=shape), load("old", 1, rows=narrow))
    assert found.predictions.to_pylist() == [
        {"risk": 0.0, "margin": "wide"},
        {"risk": 0.5, "margin": None},
        {"risk": None, "margin": None},
    ]
    assert found.predictions.schema.field("risk").type == pa.float64()


def test_a_day_without_rows_is_passed_over_and_one_of_another_key_too() -> None:
    empty = load("empty", 1, partition=day(2), rows=run_rows("x", rows=0))
    other = load("other", 1, partition=day(0), shape=OnlineShape(key=("depot",), columns=("risk",)))
    found = ask(empty, load("a", 1, partition=day(1), rows=run_rows("a", rows=1)), other)
    assert [one and one.run_key for one in found.provenance] == ["a", None, None]


def test_nothing_loaded_is_nothing_found() -> None:
    found = ask()
    assert (found.states, found.predictions.num_columns) == (("missing",) * 3, 0)


def test_no_keys_are_no_rows() -> None:
    found = ask(load("a", 1), keys={"id": []})
    assert (found.predictions.num_rows, found.predictions.schema.names, found.states) == (0, ["risk"], ())


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"city": [1]}, "expected the key columns id, got city"),
        ({}, "expected the key columns id, got none"),
        ({"id": [1], "day": [1]}, "got id, day"),
        ({"id": [1, "x' OR 1"]}, "key column 'id' of row 1: expected a whole number"),
    ],
)
def test_another_key_is_refused_without_a_value(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(LookupKeyInvalid, match=message) as caught:
        ask(load("a", 1), keys=keys)
    assert "OR" not in str(caught.value)


def test_key_columns_of_different_length_are_refused() -> None:
    two = load("a", 1, shape=OnlineShape(key=("id", "depot"), columns=("risk",)))
    with pytest.raises(LookupKeyInvalid, match="differ in length"):
        ask(two, keys={"depot": ["N"], "id": [1, 2]})
    assert ask(two, keys={"depot": ["N", "S"], "id": [0, 0]}).states == ("found", "missing")
