"""The edge of MLflow's scoring protocol, request by request, without a socket."""

import io
import json
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lockstep.scoring.scorer import Scorer
from lockstep.serving.data_plane import DataPlane, Limits
from tests.unit.serving.toy import ROW, SIGNATURE, app_of, call, json_batch

JSON = {"content-type": "application/json"}
SECRET = "secret 4711"


def records(*rows: dict[str, Any]) -> bytes:
    return json.dumps({"dataframe_records": rows}).encode()


def test_scores_come_back_as_records_bit_for_bit(app: Any, scorer: Scorer, row: dict[str, Any]) -> None:
    body = records(row, {**row, "rate": None})
    answer = call(app, "/invocations", body, headers=JSON)
    expected = scorer.score(json_batch(body, SIGNATURE)).values.tolist()
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {"predictions": [{"probability": value} for value in expected]}


def test_the_answer_names_the_model_and_the_stages(app: Any, row: dict[str, Any]) -> None:
    headers = call(app, "/invocations", records(row), headers=JSON).headers
    assert headers["x-lockstep-model-name"] == "toy"
    assert headers["x-lockstep-model-version"] == "3"
    assert headers["x-lockstep-model-digest"] == "d" * 64
    assert [part.split(";")[0] for part in headers["server-timing"].split(", ")] == [
        "decode",
        "queue",
        "compute",
        "encode",
    ]


def test_no_rows_get_no_predictions(app: Any) -> None:
    assert call(app, "/invocations", records(), headers=JSON).json() == {"predictions": []}


@pytest.mark.parametrize("path", ["/ping", "/health"])
def test_health_is_the_body_of_mlflow(path: str, app: Any, plane: DataPlane) -> None:
    answer = call(app, path)
    assert (answer.status, answer.body, answer.headers["content-type"]) == (200, b"\n", "application/json")
    plane.stopping = True
    assert call(app, path).status == 404


def test_version_is_the_bare_version_of_mlflow(app: Any) -> None:
    answer = call(app, "/version")
    assert (answer.body.decode(), answer.headers["content-type"]) == (version("mlflow"), "application/json")


@pytest.mark.parametrize(
    "content_type",
    ["application/json; charset=utf-8", 'Application/JSON;charset="UTF-8"', "application/json;"],
)
def test_utf8_json_is_accepted(content_type: str, app: Any, row: dict[str, Any]) -> None:
    assert call(app, "/invocations", records(row), headers={"content-type": content_type}).status == 200


def test_parquet_gets_the_scores_of_json(app: Any, row: dict[str, Any]) -> None:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_batches([json_batch(records(row, row))]), file)
    answer = call(app, "/invocations", file.getvalue(), headers={"content-type": "application/vnd.apache.parquet"})
    assert (answer.status, answer.body) == (200, call(app, "/invocations", records(row, row), headers=JSON).body)
    broken = call(app, "/invocations", b"PAR1", headers={"content-type": "application/vnd.apache.parquet"})
    assert (broken.status, broken.json()["error_code"]) == (400, "BAD_REQUEST")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": ""},
        {"content-type": "text/html"},
        {"content-type": "application/json; charset=latin-1"},
        {"content-type": "application/json; format=split"},
        {"content-type": "application/vnd.apache.avro"},
        {**JSON, "content-encoding": "gzip"},
    ],
)
def test_other_media_types_are_415(headers: dict[str, str], app: Any, row: dict[str, Any]) -> None:
    answer = call(app, "/invocations", records(row), headers=headers)
    assert answer.status == 415
    assert answer.json()["error_code"] == "BAD_REQUEST"
    assert "expected" in answer.json()["message"]


def test_csv_gets_the_same_answer_as_json(app: Any, row: dict[str, Any]) -> None:
    lines = ",".join(row) + "\n" + ",".join("" if v is None else str(v) for v in row.values())
    as_csv = call(app, "/invocations", lines.encode(), headers={"content-type": "text/csv"})
    assert as_csv.body == call(app, "/invocations", records(row), headers=JSON).body


def test_a_bad_row_is_400_with_field_and_row_and_no_data(app: Any, row: dict[str, Any]) -> None:
    answer = call(app, "/invocations", records(row, {**row, "distance": "secret 4711"}), headers=JSON)
    assert answer.status == 400
    assert answer.json() == {
        "error_code": "BAD_REQUEST",
        "message": "field 'distance', row 1: expected a number or null, got a string",
    }


def test_rows_without_a_score_are_500_with_row_and_reason_and_no_data(app: Any, row: dict[str, Any]) -> None:
    body = records(row, {**row, "carrier": "XX"}, {**row, "carrier": "YY"})
    answer = call(app, "/invocations", body, headers=JSON)
    assert answer.status == 500
    assert answer.json()["error_code"] == "INTERNAL_ERROR"
    message = answer.json()["message"]
    assert message.startswith(
        "2 of 3 rows cannot be scored: row 1: model_raised: the model raised RuntimeError; row 2: "
    )
    assert "4711" not in message
    assert "Traceback" not in message


def test_a_row_that_no_model_can_be_given_is_400(app: Any, row: dict[str, Any]) -> None:
    answer = call(app, "/invocations", records(row, {**row, "seats": None}), headers=JSON)
    assert answer.status == 400
    assert "row 1: null_refused: column seats is null" in answer.json()["message"]


def test_many_rows_without_a_score_are_not_all_listed(app: Any, row: dict[str, Any]) -> None:
    message = call(app, "/invocations", records(*[{**row, "carrier": "YY"}] * 30), headers=JSON).json()["message"]
    assert message.endswith("; and 20 more")


def test_a_body_over_the_limit_is_413(make_plane: Callable[[Limits], DataPlane], row: dict[str, Any]) -> None:
    app = app_of(make_plane(Limits(body_bytes=100)))
    declared = call(app, "/invocations", b"x", headers={**JSON, "content-length": "101"})
    in_pieces = call(app, "/invocations", [b"x" * 60, b"x" * 60], headers=JSON)
    for answer in (declared, in_pieces):
        assert answer.status == 413
        assert answer.json()["error_code"] == "BAD_REQUEST"
        assert answer.headers["connection"] == "close"


def test_a_large_body_is_answered_the_same_from_the_threads(
    make_plane: Callable[[Limits], DataPlane], row: dict[str, Any]
) -> None:
    rows = [{**row, "flight": number} for number in range(500)]
    inline = call(app_of(make_plane(Limits(inline_bytes=10**9))), "/invocations", records(*rows), headers=JSON)
    apart = call(app_of(make_plane(Limits(inline_bytes=0))), "/invocations", records(*rows), headers=JSON)
    one_by_one = [call(app_of(make_plane(Limits())), "/invocations", records(r), headers=JSON) for r in rows[:20]]
    assert inline.status == 200
    assert inline.body == apart.body
    assert [a.json()["predictions"][0] for a in one_by_one] == inline.json()["predictions"][:20]


def test_an_unexpected_error_is_500_and_neither_answer_nor_log_holds_its_message(
    plane: DataPlane, row: dict[str, Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def explode(*_: object, **__: object) -> None:
        raise KeyError(SECRET)

    monkeypatch.setattr(plane, "answer", explode)
    answer = call(app_of(plane), "/invocations", records(row), headers={**JSON, "x-request-id": "r-1"})
    assert answer.status == 500
    assert answer.json()["message"] == "internal error; the server's log has it under request id r-1"
    assert "KeyError" in caplog.text
    assert "r-1" in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize(("path", "method", "status"), [("/nope", "GET", 404), ("/invocations", "GET", 405)])
def test_unknown_paths_and_methods_are_answered_in_mlflows_form(path: str, method: str, status: int, app: Any) -> None:
    answer = call(app, path, method=method)
    assert answer.status == status
    assert answer.json().keys() == {"error_code", "message"}


@pytest.mark.parametrize("params", [None, {}, {"threshold": 0.5}, {"threshold": 0.5, "names": ["a"]}])
def test_parameters_that_change_nothing_are_let_through(plane: DataPlane, params: Any) -> None:
    version = plane.find(None, None)
    plain = call(app_of(plane), "/invocations", records(ROW), headers=JSON)
    version.parameters = {"threshold": 0.5, "names": ["a"]}
    body = json.dumps({**json.loads(records(ROW)), "params": params}).encode()
    answer = call(app_of(plane), "/invocations", body, headers=JSON)
    assert (answer.status, answer.body) == (200, plain.body)


@pytest.mark.parametrize(
    ("params", "problem"),
    [
        (5, "params must be an object, got an integer"),
        ({"other": 1}, "params has 'other'; the model has threshold"),
        ({"threshold": 0.25}, "params.threshold is not its default"),
    ],
)
def test_parameters_that_the_batch_would_not_score_with_are_refused(
    plane: DataPlane, params: Any, problem: str
) -> None:
    plane.find(None, None).parameters = {"threshold": 0.5}
    body = json.dumps({**json.loads(records(ROW)), "params": params}).encode()
    answer = call(app_of(plane), "/invocations", body, headers=JSON)
    assert answer.status == 400
    assert problem in answer.json()["message"]


def test_a_model_without_parameters_ignores_them_as_mlflow_does(plane: DataPlane) -> None:
    body = json.dumps({**json.loads(records(ROW)), "params": {"anything": 1}}).encode()
    assert call(app_of(plane), "/invocations", body, headers=JSON).status == 200
