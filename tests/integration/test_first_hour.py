"""Other people's models, from the registry to a published table and an endpoint: init, check, run, serve."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from endpoints import JSON, Endpoint, serving
from world import World

NAMES = ("histgb", "xgb", "lgbm", "net", "onnx", "own_code")
DAY = "2024-05-03"
FEATURES = ("age", "income", "visits", "external")
VECTORS = {"net": "input", "onnx": "vector"}
SCRIPT = Path(__file__).with_name("foreign_models.py")
# A whole night each costs a quarter of a minute of Spark: in CI those two that are farthest from our own models.
NIGHTS = NAMES if os.environ.get("LOCKSTEP_FIRST_HOUR") == "all" else ("xgb", "own_code")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A registry with six models that plain MLflow logged, and their table, in a folder of their own."""
    try:
        import lightgbm  # noqa: F401
        import xgboost  # noqa: F401
    except (ImportError, OSError) as error:  # the second where the system has no OpenMP
        pytest.skip(f"make setup-foreign, and a library of OpenMP (libgomp1, on macOS libomp): {error}")
    world = World(tmp_path_factory.mktemp("theirs"))
    (world.home / "mlflow").mkdir()
    command = [sys.executable, str(SCRIPT), f"sqlite:///{world.home}/mlflow/mlflow.db"]
    done = subprocess.run(command, cwd=world.home, env=world.env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return world


@pytest.fixture(scope="module")
def begun(theirs: World) -> World:
    """All six begun by `lockstep init`, which asks nothing."""
    for name in NAMES:
        done = theirs.run("init", name, str(theirs.home / "customers"), "--yes", "--passthrough", "country")
        assert done.returncode == 0, done.stderr
        assert "key snapshot_date, customer_id" in done.stdout
    return theirs


@pytest.mark.parametrize("name", NAMES)
def test_check_finds_all_well(begun: World, name: str) -> None:
    endpoint = () if name in (*NIGHTS, "onnx") else ("--no-endpoint",)  # a model of columns, of code, of a tensor
    done = begun.run("check", name, "--json", *endpoint)
    found = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, found["ok"], found["partition"]) == (0, True, DAY), done.stdout + done.stderr
    parts = {part["part"]: part for part in found["parts"]}
    assert parts["mlflow"]["rows"] == 1_500
    assert "endpoint" not in parts or parts["endpoint"]["differing_rows"] == 0


@pytest.mark.parametrize("name", NIGHTS)
def test_a_night_publishes_what_plain_mlflow_predicts(begun: World, name: str) -> None:
    done = begun.run("run", name, "--date", DAY)
    assert done.returncode == 0, done.stdout + done.stderr
    output = "risk" if name == "onnx" else "prediction"
    rows = begun.query(f"SELECT customer_id, {output}, country FROM {name}_scores ORDER BY customer_id")
    expected = pd.read_parquet(begun.home / "expected" / f"{name}.parquet").sort_values("customer_id")
    assert [row[0] for row in rows] == expected["customer_id"].tolist()
    np.testing.assert_allclose([row[1] for row in rows], expected["score"], rtol=1e-6)


@pytest.fixture(scope="module")
def endpoint(begun: World) -> Iterator[Endpoint]:
    with serving(begun, *NAMES[1:], spec=NAMES[0]) as running:
        yield running


@pytest.mark.parametrize("name", NAMES)
def test_one_endpoint_answers_for_all_six(begun: World, endpoint: Endpoint, name: str) -> None:
    file = begun.home / "customers" / f"snapshot_date={DAY}" / "part-0.parquet"
    rows = pd.read_parquet(file, columns=list(FEATURES) + list(VECTORS.values()))[:50]
    expected = pd.read_parquet(begun.home / "expected" / f"{name}.parquet")["score"][:50]
    if name in VECTORS:
        body = {"inputs": [row.tolist() for row in rows[VECTORS[name]]]}
    else:
        body = {"dataframe_split": rows[list(FEATURES)].to_dict(orient="split", index=False)}
    status, _, answer = endpoint.ask(f"/endpoints/{name}/invocations", json.dumps(body), JSON)
    assert status == 200, answer
    found = answer["predictions"]
    scores = [next(iter(each.values())) if isinstance(each, dict) else each for each in found]
    np.testing.assert_allclose(np.asarray(scores, float).reshape(-1), expected, rtol=1e-6)


def test_init_changes_nothing_that_is_there(begun: World) -> None:
    spec = begun.home / "models" / "xgb" / "scoring.yaml"
    before = spec.read_text()
    done = begun.run("init", "xgb", str(begun.home / "customers"), "--yes")
    assert (done.returncode, "exists already" in done.stderr) == (3, True)
    assert spec.read_text() == before
