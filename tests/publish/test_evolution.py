"""How the columns of a published table change, in every warehouse."""

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from lockstep.errors import PublishError
from lockstep.publish.contract import PublishRequest
from tests.publish.places import TABLE, Place
from tests.publish.staged import DAY, NOON, staged_table

NEXT_DAY = dt.date(2013, 8, 2)
LATER = NOON + dt.timedelta(hours=1)

Request = Callable[..., PublishRequest]


def test_a_column_may_be_added(place: Place, request_for: Request, stage: Any) -> None:
    place.open().publish(request_for("a", place.claim("a")))
    wider = staged_table("b", rows=6, day=NEXT_DAY).append_column("band", pa.array(["low", "high"] * 3))
    request = request_for("b", place.claim("b", NEXT_DAY), day=NEXT_DAY, files=stage("b", table=wider))
    told = place.open().prepare(request)
    assert len(told) == 1
    assert told[0].startswith("column band ")
    assert "is added" in told[0]
    assert "band" not in place.columns()
    for hour in (1, 2):
        done = place.open().publish(replace(request, now=NOON + dt.timedelta(hours=hour)))
    assert [entry.changes for entry in place.open().history(TABLE)[:2]] == [(), told]
    assert done.outcome == "noop"
    bands = {(row["flight_date"], row["band"]) for row in place.read()}
    assert bands == {(DAY, None), (NEXT_DAY, "low"), (NEXT_DAY, "high")}


def test_a_lost_or_changed_column_is_refused_before_anything_is_written(
    place: Place, request_for: Request, stage: Any
) -> None:
    place.open().publish(request_for("a", place.claim("a")))
    other = staged_table("b", rows=6).drop_columns(["probability_late", "flight"])
    other = other.append_column("flight", pa.array(["1", "2", "3", "4", "5", "6"]))
    request = request_for("b", place.claim("b"), files=stage("b", table=other))
    for step in (place.open().prepare, place.open().publish):
        with pytest.raises(PublishError, match=r"the table has probability_late .*column flight: expected") as caught:
            step(request)
        assert "Columns may be added and widened, not dropped or changed" in str(caught.value)
    assert place.live() == [(DAY, "a", 6)]


def test_a_column_may_be_widened_where_the_format_can(place: Place, request_for: Request, stage: Any) -> None:
    place.open().publish(request_for("a", place.claim("a")))
    wide = staged_table("b", rows=6, day=NEXT_DAY)
    wide = wide.set_column(1, "flight", pa.array([2**40 + i for i in range(6)], pa.int64()))
    request = request_for("b", place.claim("b", NEXT_DAY), day=NEXT_DAY, files=stage("b", table=wide))
    if place.kind == "delta":
        with pytest.raises(PublishError, match="column flight: expected"):
            place.open().publish(request)
        return
    told = place.open().prepare(request)
    if place.kind == "bigquery":  # all integers are of one type
        assert told == ()
    else:
        assert "column flight becomes" in told[0]
    for _ in range(2):
        place.open().publish(request)
    narrow = request_for("c", place.claim("c"))  # narrower rows fit the wider column
    assert place.open().prepare(narrow) == ()
    place.open().publish(narrow)
    flights = sorted(row["flight"] for row in place.read())
    assert flights == [*range(6), *(2**40 + i for i in range(6))]


def test_rows_of_an_earlier_run_may_be_restored(place: Place, request_for: Request, stage: Any) -> None:
    first = request_for("a", place.claim("a"))
    place.open().publish(first)
    before = sorted(place.read(columns="flight, probability_late, run_key, scored_at"), key=str)
    wider = staged_table("b", rows=6).append_column("band", pa.array(["low"] * 6))
    place.open().publish(request_for("b", place.claim("b"), files=stage("b", table=wider), now=LATER))

    back = replace(first, token=place.claim("a"), outcome="restored", reason="b was wrong", actor="anna")
    again = [place.open().publish(replace(back, now=LATER + dt.timedelta(hours=i))) for i in (1, 2)]
    assert [entry.outcome for entry in again] == ["restored", "noop"]
    assert (again[0].reason, again[0].actor, again[0].replaced_rows) == ("b was wrong", "anna", 6)
    assert sorted(place.read(columns="flight, probability_late, run_key, scored_at"), key=str) == before
    assert {row["band"] for row in place.read()} == {None}
