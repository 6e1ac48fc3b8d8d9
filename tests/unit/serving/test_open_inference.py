"""The edge of the Open Inference Protocol, request by request, without a socket."""

import json
from typing import Any

import numpy as np
import pytest

import lockstep
from lockstep.serving.data_plane import DataPlane
from tests.unit.serving.test_tensors import request
from tests.unit.serving.toy import call

JSON = {"content-type": "application/json"}
INFER = "/v2/models/toy/infer"


def body(**changes: Any) -> bytes:
    return json.dumps({**request(), **changes}).encode()


def test_server_metadata_and_health_are_json_that_clients_read(app: Any) -> None:
    assert call(app, "/v2").json() == {
        "name": "lockstep",
        "version": lockstep.__version__,
        "extensions": ["binary_tensor_data", "model_repository"],
    }
    assert call(app, "/v2/health/live").json() == {"live": True}
    assert call(app, "/v2/health/ready").json() == {"ready": True, "live": True}


@pytest.mark.parametrize("prefix", ["/v2/models/toy", "/v2/models/toy/versions/3"])
def test_the_model_is_found_with_and_without_version(prefix: str, app: Any) -> None:
    metadata = call(app, prefix)
    assert metadata.json()["name"] == "toy"
    assert metadata.headers["x-lockstep-model-digest"] == "d" * 64
    told = metadata.json()["properties"]
    assert (told["digest"], told["certificate_device"], told["certificate_block_rows"]) == ("d" * 64, "cpu", "8")
    assert call(app, f"{prefix}/ready").json() == {"name": "toy", "ready": True}
    answer = call(app, f"{prefix}/infer", body(id="a"), headers=JSON)
    assert answer.status == 200
    assert answer.headers["x-lockstep-model-version"] == "3"
    assert (answer.json()["model_name"], answer.json()["model_version"], answer.json()["id"]) == ("toy", "3", "a")


@pytest.mark.parametrize("prefix", ["/v2/models/other", "/v2/models/toy/versions/4", "/v2/models/toy/versions/x"])
def test_another_model_or_version_is_404(prefix: str, app: Any) -> None:
    for answer in (call(app, prefix), call(app, f"{prefix}/ready"), call(app, f"{prefix}/infer", body())):
        assert answer.status == 404
        assert "this endpoint serves 'toy'" in answer.json()["error"]


def test_both_edges_give_the_same_bits(app: Any, row: dict[str, Any]) -> None:
    tensors = call(app, INFER, body(), headers=JSON).json()["outputs"][0]["data"]
    records = json.dumps({"dataframe_records": [row, row]}).encode()
    predictions = call(app, "/invocations", records, headers=JSON).json()["predictions"]
    assert tensors == [record["probability"] for record in predictions]


def test_a_stopping_server_is_alive_but_not_ready(app: Any, plane: DataPlane) -> None:
    plane.stopping = True
    assert call(app, "/v2/health/live").status == 200
    ready = call(app, "/v2/health/ready")
    assert (ready.status, ready.json()["ready"]) == (503, False)
    assert "error" in ready.json()
    assert call(app, "/v2/models/toy/ready").status == 503


def test_a_draining_server_is_not_ready_and_answers(app: Any, plane: DataPlane) -> None:
    plane.draining = True
    ready = call(app, "/v2/health/ready")
    assert (ready.status, ready.json()["error"]) == (503, "the server is stopping")
    assert call(app, "/v2/health/live").status == 200
    assert call(app, INFER, body(), headers=JSON).status == 200


def test_binary_tensors_go_both_ways_and_hold_the_bits_of_json(app: Any) -> None:
    asked = request()
    raw = b""
    for tensor in asked["inputs"]:
        if tensor["datatype"] == "FP64":
            part = np.array(tensor.pop("data"), dtype="<f8").tobytes()
            tensor["parameters"] = {"binary_data_size": len(part)}
            raw += part
    head = json.dumps({**asked, "parameters": {"binary_data_output": True}}).encode()
    headers = {"content-type": "application/octet-stream", "inference-header-content-length": str(len(head))}
    answer = call(app, INFER, head + raw, headers=headers)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/octet-stream")
    length = int(answer.headers["inference-header-content-length"])
    (output,) = json.loads(answer.body[:length])["outputs"]
    assert output["parameters"] == {"binary_data_size": 16}
    plain = call(app, INFER, body(), headers=JSON).json()["outputs"][0]["data"]
    assert np.frombuffer(answer.body[length:], dtype="<f8").tolist() == plain


def test_a_missing_content_type_is_json_and_another_is_415(app: Any) -> None:
    assert call(app, INFER, body()).status == 200
    answer = call(app, INFER, body(), headers={"content-type": "text/csv"})
    assert answer.status == 415
    assert answer.json().keys() == {"error"}


def test_errors_have_the_protocols_form(app: Any) -> None:
    answer = call(app, INFER, json.dumps({"inputs": [{"name": "4711"}]}).encode(), headers=JSON)
    assert (answer.status, answer.json().keys()) == (400, {"error"})
    assert call(app, "/v2/nope").json() == {"error": "no such endpoint: GET on this path is not served"}
    unscorable = json.dumps(request(carrier={"data": ["UA", "YY"]})).encode()
    answer = call(app, INFER, unscorable, headers=JSON)
    assert (answer.status, answer.json().keys()) == (500, {"error"})
