"""`lockstep serve` as a user meets it: real processes, real HTTP, MLflow's own client."""

import asyncio
import contextlib
import datetime as dt
import http.client
import json
import math
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import mlflow.pyfunc
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from endpoints import JSON, Endpoint, serving
from mlflow.pyfunc import scoring_server
from mlflow.pyfunc.scoring_server.client import ScoringServerClient
from world import CONSTANT, GOOD, NOT_A_NUMBER, ROOT, ROWS, World, customers

from lockstep.client import Client
from tests.unit.serving.toy import Answer

DAY = "2024-01-03"
FEATURES = ["city", "age", "spend"]


@pytest.fixture(scope="module")
def endpoint(world: World) -> Iterator[Endpoint]:
    """The champion, served."""
    with serving(world) as running:
        yield running


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """The customers of a day, with unknown cities, nulls and missing numbers."""
    return customers(dt.date.fromisoformat(DAY)).to_pandas()[FEATURES]


@pytest.fixture(scope="module")
def model(world: World) -> Any:
    """The same model, loaded by MLflow alone."""
    return pyfunc(world, GOOD)


def pyfunc(world: World, version: int) -> Any:
    mlflow.set_tracking_uri(f"sqlite:///{world.home}/mlflow/mlflow.db")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return mlflow.pyfunc.load_model(f"models:/churn/{version}")


def plain(frame: pd.DataFrame) -> dict[str, list[Any]]:
    """Columns of JSON values."""
    return {
        name: [None if isinstance(v, float) and math.isnan(v) else v for v in frame[name].tolist()] for name in frame
    }


def tensors(frame: pd.DataFrame) -> dict[str, Any]:
    kinds = {"city": "BYTES", "age": "FP64", "spend": "FP64"}
    data = plain(frame)
    return {"inputs": [{"name": n, "datatype": kinds[n], "shape": [len(frame)], "data": data[n]} for n in FEATURES]}


def test_mlflows_own_client_gets_the_models_values(endpoint: Endpoint, frame: pd.DataFrame, model: Any) -> None:
    client = ScoringServerClient(*endpoint.address)
    client.wait_server_ready(timeout=5)
    assert client.get_version() == mlflow.__version__
    answer = client.invoke(frame).get_predictions()
    assert list(answer.columns) == ["risk"]
    expected = model.predict(frame)["risk"].to_numpy()
    np.testing.assert_allclose(answer["risk"].to_numpy(), expected, rtol=0, atol=1e-6)


def test_both_protocols_and_any_request_size_give_the_same_bits(endpoint: Endpoint, frame: pd.DataFrame) -> None:
    _, _, whole = endpoint.ask("/invocations", {"inputs": plain(frame)})
    scores = [record["risk"] for record in whole["predictions"]]
    _, _, inferred = endpoint.ask("/v2/models/churn/infer", tensors(frame))
    assert inferred["outputs"][0]["data"] == scores
    for row in (0, 7, ROWS - 1):
        _, _, single = endpoint.ask("/v2/models/churn/infer", tensors(frame.iloc[row : row + 1]))
        assert single["outputs"][0]["data"] == [scores[row]]


def test_every_answer_names_the_model(endpoint: Endpoint, frame: pd.DataFrame) -> None:
    for path, body in (("/invocations", {"inputs": plain(frame)}), ("/v2/models/churn/infer", tensors(frame))):
        status, headers, answer = endpoint.ask(path, body)
        assert status == 200
        assert headers["x-lockstep-model-version"] == str(GOOD)
        assert len(headers["x-lockstep-model-digest"]) == 64
    assert (answer["model_name"], answer["model_version"]) == ("churn", str(GOOD))


def test_lockstep_predict_and_its_client_give_the_endpoints_scores(
    endpoint: Endpoint, frame: pd.DataFrame, world: World, tmp_path: Path
) -> None:
    _, _, whole = endpoint.ask("/invocations", {"inputs": plain(frame)})
    expected = [record["risk"] for record in whole["predictions"]]
    with Client(endpoint.url) as client:
        found = client.predict(frame)
    assert (found.model, found.version, found.outputs["risk"].tolist()) == ("churn", str(GOOD), expected)
    frame.to_csv(tmp_path / "rows.csv", index=False)
    written = f"parquet={tmp_path}/scores.parquet"
    done = world.run("predict", endpoint.url, str(tmp_path / "rows.csv"), "--spec", "churn", "--output", written)
    assert done.returncode == 0, done.stderr
    assert pq.read_table(tmp_path / "scores.parquet").column("risk").to_pylist() == expected


def test_its_page_is_there_for_people(endpoint: Endpoint) -> None:
    status, headers, page = endpoint.ask("/docs")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert headers["content-security-policy"].startswith("default-src 'none'; ")
    assert "/v2/models/{name}/infer" in page


def asked_in_process(app: Any, path: str, body: bytes | None = None, content_type: str | None = None) -> Answer:
    """Send one request through an ASGI application."""

    async def ask() -> httpx2.Response:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://mlflow") as client:
            kind = {"content-type": content_type} if content_type else {}
            return await client.request("GET" if body is None else "POST", path, content=body, headers=kind)

    found = asyncio.run(ask())
    return Answer(found.status_code, dict(found.headers), found.content)


BODIES: dict[str, tuple[str, str]] = {
    "split": ("application/json", '{"dataframe_split": {"columns": ["spend", "city", "age"], "data": [[1, "x", 3]]}}'),
    "NaN": ("application/json", '{"dataframe_split": {"columns": ["spend", "city", "age"], "data": [[NaN, "x", 3]]}}'),
    "records": ("application/json", '{"dataframe_records": [{"city": null, "age": 3, "spend": 0.1}]}'),
    "extra column": ("application/json", '{"dataframe_records": [{"city": "bern", "age": 3, "spend": 0.1, "x": [1]}]}'),
    "instances": ("application/json", '{"instances": [{"city": "bern", "age": 3.0, "spend": 0.1}]}'),
    "inputs": ("application/json", '{"inputs": {"city": ["bern", "rome"], "age": [3.0, 4.0], "spend": [0.1, 0.2]}}'),
    "params": ("application/json", '{"inputs": {"city": ["bern"], "age": [3.0], "spend": [0.1]}, "params": {"a": 1}}'),
    "csv": ("text/csv", "city,age,spend\nbern,3,0.1\n,,\n"),
    "charset": ("application/json; charset=utf-8", '{"inputs": {"city": ["bern"], "age": [3.0], "spend": [0.1]}}'),
    "no rows": ("application/json", '{"dataframe_split": {"columns": ["spend", "city", "age"], "data": []}}'),
    "no json": ("application/json", '{"inputs": '),
    "a list": ("application/json", "[1, 2]"),
    "no field": ("application/json", '{"columns": [], "data": []}'),
    "two fields": ("application/json", '{"inputs": {}, "instances": []}'),
    "missing column": ("application/json", '{"dataframe_records": [{"city": "bern", "age": 3}]}'),
    "wrong type": ("application/json", '{"dataframe_records": [{"city": "bern", "age": "old", "spend": 0.1}]}'),
    "bad csv": ("text/csv", "city,age,spend\nbern,old,0.1\n"),
    "bad media type": ("text/html", "x"),
    "bad charset": ("application/json; charset=latin-1", "{}"),
}  # fmt: skip


@pytest.mark.parametrize("case", BODIES)
@pytest.mark.filterwarnings("ignore")
def test_invocations_answers_as_mlflows_server_does(case: str, endpoint: Endpoint, model: Any) -> None:
    content_type, body = BODIES[case]
    theirs = asked_in_process(scoring_server.init(model), "/invocations", body.encode(), content_type)
    status, _, ours = endpoint.ask("/invocations", body, {"Content-Type": content_type})
    assert status == theirs.status
    if status == 200:
        expected = theirs.json()["predictions"]
        assert [record.keys() for record in ours["predictions"]] == [record.keys() for record in expected]
        pairs = zip(ours["predictions"], expected, strict=True)
        assert all(abs(our["risk"] - their["risk"]) < 1e-6 for our, their in pairs)
    else:
        assert ours.keys() == {"error_code", "message"}
        assert "old" not in ours["message"]


@pytest.mark.parametrize("path", ["/ping", "/health", "/version"])
def test_operational_answers_are_mlflows_to_the_byte(path: str, endpoint: Endpoint, model: Any) -> None:
    theirs = asked_in_process(scoring_server.init(model), path)
    connection = http.client.HTTPConnection(*endpoint.address, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", path)
        response = connection.getresponse()
        ours = (response.status, response.getheader("content-type"), response.read())
    assert ours == (theirs.status, theirs.headers["content-type"], theirs.body)


def test_metrics_and_log_tell_what_happened_and_hold_no_data(endpoint: Endpoint, frame: pd.DataFrame) -> None:
    endpoint.ask("/invocations", {"inputs": plain(frame)}, {**JSON, "X-Request-Id": "find-me"})
    _, _, text = endpoint.ask("/metrics")
    for name in ("lockstep_requests_total", "lockstep_stage_seconds_bucket", "lockstep_model_info"):
        assert name in text
    deadline = time.monotonic() + 10
    while '"id":"find-me"' not in (log := endpoint.log.read_text()):
        assert time.monotonic() < deadline, log
        time.sleep(0.05)
    (line,) = [json.loads(text) for text in log.splitlines() if '"id":"find-me"' in text]
    assert (line["path"], line["status"], line["rows"], line["version"]) == ("/invocations", 200, 400, str(GOOD))
    assert "bern" not in log


def test_a_model_without_a_lockstep_backend_is_served_like_mlflow_serves_it(world: World, frame: pd.DataFrame) -> None:
    expected = pyfunc(world, CONSTANT).predict(frame)["risk"].tolist()
    with serving(world, "--model-version", str(CONSTANT)) as other:
        _, _, answer = other.ask("/invocations", {"inputs": plain(frame)})
        assert [record["risk"] for record in answer["predictions"]] == expected
        assert other.stop(signal.SIGINT) == 0


def test_a_model_that_returns_nan_answers_500_with_the_rows(world: World, frame: pd.DataFrame) -> None:
    with serving(world, "--model-version", str(NOT_A_NUMBER)) as broken:
        status, _, answer = broken.ask("/invocations", {"inputs": plain(frame.iloc[:2])})
        assert (status, answer["error_code"]) == (500, "INTERNAL_ERROR")
        assert answer["message"].startswith("2 of 2 rows cannot be scored: row 0: ")
        status, _, answer = broken.ask("/v2/models/churn/infer", tensors(frame.iloc[:1]))
        assert (status, answer.keys()) == (500, {"error"})


def test_a_stop_signal_lets_a_running_request_finish(world: World, frame: pd.DataFrame) -> None:
    body = json.dumps({"inputs": plain(frame)}).encode()
    with serving(world) as running:
        sock = socket.create_connection(running.address, timeout=30)
        with sock:
            head = "POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            sock.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:100])
            time.sleep(0.5)
            running.process.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            status, headers, answer = running.ask("/v2/models/churn/infer", tensors(frame.iloc[:1]))
            assert (status, answer["error"]) == (503, "the server is not ready: it is stopping; try again later")
            assert headers["retry-after"] == "1"
            assert running.ask("/v2/health/ready")[0] == 503
            sock.sendall(body[100:])
            answer = b""
            while chunk := sock.recv(65536):
                answer += chunk
        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert json.loads(answer.split(b"\r\n\r\n", 1)[1])["predictions"][0]["risk"] > 0
        assert running.process.wait(40) == 0
        assert "Traceback" not in running.log.read_text()


def test_small_requests_are_answered_while_a_big_one_runs(endpoint: Endpoint, frame: pd.DataFrame) -> None:
    big = json.dumps({"inputs": plain(pd.concat([frame] * 250))}).encode()
    answered: list[int] = []
    thread = threading.Thread(target=lambda: answered.append(endpoint.ask("/invocations", big, JSON)[0]))
    thread.start()
    during = 0
    while thread.is_alive():
        status, _, _ = endpoint.ask("/v2/models/churn/infer", tensors(frame.iloc[:1]))
        assert status == 200
        during += thread.is_alive()
    thread.join()
    assert answered == [200]
    assert during >= 3


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (("--alias", "nobody"), 5, "has no alias 'nobody'"),
        (("--alias", "champion", "--model-version", "1"), 2, "not both"),
        (("--host", "203.0.113.1"), 4, "does not start on '203.0.113.1', which other machines can reach"),
    ],
)
def test_a_bad_start_is_one_clear_error(args: tuple[str, ...], code: int, message: str, world: World) -> None:
    done = world.run("serve", "churn", "--port", "0", *args)
    assert done.returncode == code
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_a_port_in_use_is_one_clear_error(endpoint: Endpoint, world: World) -> None:
    done = world.run("serve", "churn", "--port", str(endpoint.address[1]))
    assert done.returncode == 4
    *_, line, more = done.stderr.strip().splitlines()
    assert line.startswith("lockstep: error: [LS4023] cannot listen on 127.0.0.1 port")
    assert more.strip() == "more: lockstep explain LS4023"


def test_the_health_check_of_containers_finds_it_ready(endpoint: Endpoint) -> None:
    program = ROOT / "deploy" / "images" / "healthy.py"
    done = subprocess.run(
        [sys.executable, program, endpoint.url], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout) == (0, f"{endpoint.url}/v2/health/ready: 200\n")
