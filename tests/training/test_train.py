"""The training script: registered once, loadable by any MLflow client, watched by a baseline."""

import json
import os
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.entities.model_registry import ModelVersion

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "models" / "flight_delay" / "train.py"


def train(training_folder: Path, uri: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(SCRIPT), "--training-set", str(training_folder), "--tracking-uri", uri, *arguments]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, env=environ, check=False, timeout=300)


@pytest.fixture(scope="module")
def uri(training_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An MLflow store with one trained version."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"
    done = train(training_folder, uri, "--epochs", "2")
    assert done.returncode == 0, done.stderr
    assert "registered flight_delay version 1, alias champion" in done.stdout
    mlflow.set_tracking_uri(uri)
    return uri


@pytest.fixture(scope="module")
def version(uri: str) -> ModelVersion:
    return mlflow.MlflowClient(uri).get_model_version_by_alias("flight_delay", "champion")


@pytest.fixture(scope="module")
def folder(uri: str) -> Path:
    return Path(mlflow.artifacts.download_artifacts("models:/flight_delay@champion", tracking_uri=uri))


def rows() -> pd.DataFrame:
    columns = {"carrier": ["AA", "UA", None, "ZZ"], "dest": ["SFO", "BOS", "ATL", None]}
    return pd.DataFrame({**columns, "distance_miles": [100.0, np.nan, 9.0, 1e6], "gust_mph": [np.nan, 0.0, 40.0, 1.0]})


def test_any_mlflow_client_can_score(uri: str) -> None:
    model = mlflow.pyfunc.load_model("models:/flight_delay@champion")
    scores = model.predict(rows())
    assert list(scores.columns) == ["probability_late"]
    assert scores["probability_late"].between(0, 1).all()
    one_by_one = pd.concat([model.predict(rows().iloc[[i]]) for i in range(4)])
    np.testing.assert_allclose(scores, one_by_one, rtol=0, atol=1e-6)
    assert len(model.predict(rows().iloc[:0])) == 0


def test_signature_example_and_requirements(uri: str) -> None:
    model = mlflow.pyfunc.load_model("models:/flight_delay@champion")
    signature = model.metadata.signature
    assert signature.inputs.input_names() == ["carrier", "dest", "distance_miles", "gust_mph"]
    assert signature.outputs.input_names() == ["probability_late"]
    assert len(model.input_example) >= 2
    assert not model.input_example.isna().any().any()
    assert model.metadata.metadata["lockstep"] == {"format": 1, "backend": "torch", "block_rows": 64}


def test_artifact_holds_what_lockstep_needs(folder: Path) -> None:
    assert sorted(p.name for p in (folder / "artifacts").iterdir()) == ["baseline.json", "encoding.json", "network.pt2"]
    encoding = json.loads((folder / "artifacts" / "encoding.json").read_text())
    assert encoding["categorical"][0] == {"name": "carrier", "values": ["AA", "UA"]}
    assert "torch==2.13.0" in (folder / "requirements.txt").read_text()


def test_baseline_profiles_inputs_and_score(folder: Path) -> None:
    baseline = json.loads((folder / "artifacts" / "baseline.json").read_text())
    assert baseline["rows"] == 5_003
    assert list(baseline["columns"]) == ["carrier", "dest", "distance_miles", "gust_mph", "probability_late"]
    gust = baseline["columns"]["gust_mph"]
    assert gust["nulls"] + gust["count"] == sum(gust["counts"]) + gust["nulls"] == 5_003


def test_version_carries_metrics_and_key(version: ModelVersion) -> None:
    assert float(version.tags["metric.valid_auc"]) > 0.6
    assert float(version.tags["metric.base_rate_valid_auc"]) == 0.5
    assert len(version.tags["lockstep.training_key"]) == 64


def test_nothing_new_registers_nothing(training_folder: Path, uri: str) -> None:
    again = train(training_folder, uri, "--epochs", "2")
    assert (again.returncode, again.stderr) == (0, "")
    assert "nothing registered: version 1 of flight_delay" in again.stdout
    assert len(mlflow.MlflowClient(uri).search_model_versions("name = 'flight_delay'")) == 1


def test_a_champion_chosen_by_a_person_stays(training_folder: Path, uri: str) -> None:
    client = mlflow.MlflowClient(uri)
    forced = train(training_folder, uri, "--epochs", "1", "--alias", "challenger")
    assert forced.returncode == 0, forced.stderr
    assert int(client.get_model_version_by_alias("flight_delay", "challenger").version) == 2
    client.set_registered_model_alias("flight_delay", "champion", "2")
    train(training_folder, uri, "--epochs", "2")
    assert int(client.get_model_version_by_alias("flight_delay", "champion").version) == 2
    client.set_registered_model_alias("flight_delay", "champion", "1")


def test_no_training_set_is_one_clear_error(tmp_path: Path, uri: str) -> None:
    done = train(tmp_path / "nowhere", uri)
    assert done.returncode == 6
    assert "build the training set first" in done.stderr
    assert "Traceback" not in done.stderr
