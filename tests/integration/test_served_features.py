"""What the endpoint looks up while it answers: features of a source, and predictions that were published."""

import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from endpoints import Endpoint, serving
from world import World

from lockstep.publish.online.stores import open_online_store
from tests.integration.feast_server import FeastLike, feast_like, url_of
from tests.unit.publish.online.loads import TABLE, load, run_rows

ASKED = {"city": ["Ulm", "Rom", None], "age": [31.5, None, 64.0]}
FEATURE = {"feature": "depots:late_share", "max_age_s": 86_400, "missing": "null", "stale": "default", "default": 0.25}


@pytest.fixture
def feast() -> Iterator[FeastLike]:
    with feast_like() as running:
        yield running


@pytest.fixture
def config(world: World, tmp_path: Path, feast: FeastLike) -> Path:
    """A `serving.yaml` of a spec like that of `churn`, with an online store that holds one published day."""
    folder = world.home / "models" / "looked"
    shutil.copytree(world.home / "models" / "churn", folder, dirs_exist_ok=True)
    spec = yaml.safe_load((folder / "scoring.yaml").read_text())
    spec |= {"name": "looked", "online": {"key": ["id"], "columns": ["risk"]}}
    spec["publish"] = {**spec["publish"], "table": TABLE}
    (folder / "scoring.yaml").write_text(yaml.safe_dump(spec))
    with closing(open_online_store(f"sqlite:///{world.home / 'online.db'}", wait_s=10)) as store:
        store.put_partition(load("run-a", 1, rows=run_rows("run-a", score=0.5)))
    keys = {"depot_id": {"column": "depot", "dtype": "long"}}
    source = {"name": "depots", "feast": {"url": url_of(feast)}, "keys": keys, "inputs": {"spend": FEATURE}, "share": 1}
    path = tmp_path / "serving.yaml"
    path.write_text(json.dumps({"models": [{"spec": "looked", "lookup": True, "features": [source], "slo_ms": 5000}]}))
    return path


def test_what_is_looked_up_while_a_request_is_answered(world: World, config: Path, feast: FeastLike) -> None:
    with serving(world) as plain:
        # Depot 1 is fresh, 2 has none, 3 is too old.
        _, _, expected = plain.ask("/invocations", {"inputs": {**ASKED, "spend": [0.1, None, 0.25]}})
        _, _, without = plain.ask("/invocations", {"inputs": {**ASKED, "spend": [None, None, None]}})
    with serving(world, "--config", str(config), spec=None) as endpoint:
        body = {"inputs": {**ASKED, "depot": [1, 2, 3]}}
        status, headers, found = endpoint.ask("/invocations", body)
        assert (status, found) == (200, expected)
        assert "features;dur=" in headers["server-timing"]
        assert ask_v2(endpoint) == [record["risk"] for record in expected["predictions"]]
        check_description(endpoint)
        check_lookups(endpoint)
        feast.broken = (503, b"")
        status, _, found = endpoint.ask("/invocations", body)
        assert (status, found) == (200, without)  # by the policy of this feature


def check_description(endpoint: Endpoint) -> None:
    _, _, metadata = endpoint.ask("/v2/models/churn")
    assert [column["name"] for column in metadata["inputs"]] == ["city", "age", "depot"]
    metrics = endpoint.ask("/metrics")[2]
    for state, use in (("fresh", "source"), ("missing", "null"), ("stale", "default")):
        labels = f'feature="spend",model="churn",state="{state}",use="{use}"'
        assert f"lockstep_features_total{{{labels}}} 2.0" in metrics
    status, _, refused = endpoint.ask("/invocations", {"inputs": ASKED})
    assert status == 400
    assert "'depot' (long)" in refused["message"]


def check_lookups(endpoint: Endpoint) -> None:
    path = "/models/churn/lookup"
    status, _, found = endpoint.ask(path, {"keys": {"id": [1, 99]}})
    assert status == 200
    first, second = found["rows"]
    assert (first["state"], first["prediction"], second["state"]) == ("found", {"risk": 0.625}, "missing")
    assert (first["origin"]["run_key"], first["origin"]["model_version"]) == ("run-a", 1)
    assert endpoint.ask(path, {"keys": {"id": [1]}, "max_age_s": 1})[2]["rows"][0]["state"] == "stale"
    assert endpoint.ask(path, {"keys": {"id": [1]}, "as_of": "2020-01-01"})[2]["rows"][0]["state"] == "missing"
    for keys, problem in (({"city": ["Ulm"]}, "expected the key columns id"), ({"id": ["one"]}, "a whole number")):
        status, _, refused = endpoint.ask(path, {"keys": keys})
        assert status == 400
        assert problem in refused["message"]


def ask_v2(endpoint: Endpoint) -> Any:
    kinds = {"city": "BYTES", "age": "FP64", "depot": "INT64"}
    data = {**ASKED, "depot": [1, 2, 3]}
    tensors = [{"name": n, "datatype": kind, "shape": [3], "data": data[n]} for n, kind in kinds.items()]
    status, _, answer = endpoint.ask("/v2/models/churn/infer", {"inputs": tensors})
    assert status == 200, answer
    return answer["outputs"][0]["data"]
