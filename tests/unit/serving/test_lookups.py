import datetime as dt
import json
from typing import Any

import pyarrow as pa
import pytest

from lockstep.errors import RequestInvalid
from lockstep.serving.data_plane import DataPlane, Limits
from lockstep.serving.features.errors import LookupUnavailable
from lockstep.serving.features.lookup import Lookup, LookupRequest, Provenance
from lockstep.serving.fleet import Fleet
from lockstep.serving.lookups import MOST_KEYS, LookupTable, lookup_routes, read_request
from lockstep.serving.metrics import Metrics
from tests.unit.serving.toy import Answer, app_of, call

JSON = {"Content-Type": "application/json"}
MOMENT = dt.datetime(2024, 1, 4, 3, tzinfo=dt.UTC)
ORIGIN = Provenance(dt.date(2024, 1, 3), 97_200.0, "churn", 7, "d" * 64, "run", MOMENT)


class Shelf:
    """A store with one row, the key `Ulm`."""

    def __init__(self, *, fails: bool = False) -> None:
        self.asked: list[LookupRequest] = []
        self._fails = fails

    async def lookup(self, request: LookupRequest, *, timeout_s: float) -> Lookup:
        assert timeout_s > 0
        self.asked.append(request)
        if self._fails:
            raise LookupUnavailable(request.table, location="the shelf", reason="it fell")
        there = [city == "Ulm" for city in request.keys["city"]]
        predictions = pa.RecordBatch.from_pylist([{"risk": 0.1 if one else None, "day": MOMENT} for one in there])
        states = tuple("found" if one else "missing" for one in there)
        return Lookup(predictions, states, tuple(ORIGIN if one else None for one in there))

    async def aclose(self) -> None: ...


def plane_of() -> DataPlane:
    return DataPlane(Fleet([]), metrics=Metrics(), limits=Limits())


def ask(body: Any, shelf: Shelf | None = None, *, name: str = "churn", **headers: str) -> Answer:
    plane = plane_of()
    routes = lookup_routes(plane, {"churn": LookupTable(shelf or Shelf(), "scores")})
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return call(app_of(plane, *routes), f"/models/{name}/lookup", content, headers={**JSON, **headers})


@pytest.mark.parametrize("keys", [{"city": ["Ulm", "Rom"]}, [{"city": "Ulm"}, {"city": "Rom"}]])
def test_each_key_gets_its_state_prediction_and_origin(keys: Any) -> None:
    shelf = Shelf()
    answer = ask({"keys": keys, "as_of": "2024-01-05", "max_age_s": 60}, shelf)
    assert answer.status == 200
    assert shelf.asked == [LookupRequest("scores", {"city": ["Ulm", "Rom"]}, dt.date(2024, 1, 5), 60.0)]
    found, missing = answer.json()["rows"]
    assert (missing["state"], missing["prediction"], missing["origin"]) == ("missing", None, None)
    assert found["state"] == "found"
    assert found["prediction"] == {"risk": 0.1, "day": "2024-01-04T03:00:00Z"}
    assert found["origin"] == {
        "as_of": "2024-01-03",
        "age_s": 97_200.0,
        "published_at": "2024-01-04T03:00:00Z",
        "model_name": "churn",
        "model_version": 7,
        "model_digest": "d" * 64,
        "run_key": "run",
    }
    assert "lookup;dur=" in answer.headers["server-timing"]


def test_one_object_is_one_key() -> None:
    assert [row["state"] for row in ask({"keys": {"city": ["Ulm"]}}).json()["rows"]] == ["found"]
    assert [row["state"] for row in ask({"keys": {"city": "Ulm"}}).json()["rows"]] == ["found"]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"[]", "must be a JSON object"),
        (b"{", "not valid JSON"),
        ({}, "no field 'keys'"),
        ({"keys": {"city": ["Ulm"]}, "day": 1}, "got the field 'day'"),
        ({"keys": 5}, "got an integer"),
        ({"keys": []}, "got an array"),
        ({"keys": {}}, "expected an object of lists"),
        ({"keys": {"city": []}}, "expected 1 to 1000, got 0"),
        ({"keys": {"city": ["x"] * (MOST_KEYS + 1)}}, "expected 1 to 1000, got 1001"),
        ({"keys": {"city": ["Ulm"], "age": []}}, "differ in length"),
        ({"keys": [{"city": "Ulm"}, {"town": "Ulm"}]}, "object 1 has other fields"),
        ({"keys": {"city": ["Ulm"]}, "as_of": "yesterday"}, "as_of: expected a day"),
        ({"keys": {"city": ["Ulm"]}, "as_of": 20240101}, "as_of: expected a day"),
        ({"keys": {"city": ["Ulm"]}, "max_age_s": -1}, "max_age_s: expected"),
        ({"keys": {"city": ["Ulm"]}, "max_age_s": True}, "max_age_s: expected"),
        (b'{"keys": {"city": ["Ulm"]}, "max_age_s": NaN}', "max_age_s: expected"),
    ],
)
def test_what_is_no_lookup_is_400(body: Any, problem: str) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(RequestInvalid, match=problem):
        read_request(content, table="scores")
    answer = ask(body)
    assert (answer.status, answer.json()["error_code"]) == (400, "BAD_REQUEST")


def test_other_failures_have_their_status() -> None:
    body = {"keys": {"city": ["Ulm"]}}
    assert ask(body, name="other").status == 404
    assert ask(body, Shelf(fails=True)).status == 503
    assert ask(body, **{"Content-Type": "text/csv"}).status == 415


def test_without_tables_there_is_no_route() -> None:
    assert lookup_routes(plane_of(), {}) == []
