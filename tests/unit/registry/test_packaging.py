"""What is written beside a model, and when a training counts as done."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lockstep.registry.artifact import read_artifact
from lockstep.registry.packaging import (
    TRAINING_KEY_TAG,
    Columns,
    TextColumn,
    TrainedModel,
    connect,
    ensure_alias,
    find_version,
    log_and_register,
    training_key,
)
from lockstep.scoring.profile import Profile, build_baseline

COLUMNS = Columns({"carrier": ["AA", "UA"]}, ["temp_f", "gust_mph"], "risk")
SCRIPT = """
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel


class Half(PythonModel):
    def predict(self, context, model_input: pd.DataFrame, params=None) -> pd.DataFrame:
        return pd.DataFrame({"risk": [0.5] * len(model_input)})


set_model(Half())
"""


@pytest.fixture
def model(tmp_path: Path) -> TrainedModel:
    import pandas as pd

    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "network.pt2").write_bytes(b"weights")
    return TrainedModel(
        code=tmp_path / "script.py",
        network=tmp_path / "network.pt2",
        columns=COLUMNS,
        baseline=build_baseline({"temp_f": np.array([1.0, 2.0, np.nan])}),
        example=pd.DataFrame({"carrier": ["AA", "UA"], "temp_f": [1.0, 2.0], "gust_mph": [3.0, 4.0]}),
        requirements=["pandas"],
        params={"seed": 1},
        metrics={"valid_auc": 0.75},
    )


def test_encoding_keeps_the_order_of_columns_and_values() -> None:
    assert COLUMNS.encoding() == {
        "categorical": [{"name": "carrier", "values": ["AA", "UA"]}],
        "numeric": ["temp_f", "gust_mph"],
        "output": "risk",
    }


def test_signature_requires_every_column() -> None:
    signature = COLUMNS.signature()
    assert signature.inputs.input_names() == ["carrier", "temp_f", "gust_mph"]
    assert [str(kind) for kind in signature.inputs.input_types()] == ["DataType.string", *["DataType.double"] * 2]
    assert all(column.required for column in signature.inputs.inputs)


def test_a_text_model_reads_a_string_and_writes_a_tensor() -> None:
    column = TextColumn("text", "embedding", width=4, lengths=(8, 16), pad_id=0)
    signature = column.signature()
    assert [(i.name, str(i.type)) for i in signature.inputs.inputs] == [("text", "DataType.string")]
    assert [(o.name, o.shape, o.type.name) for o in signature.outputs.inputs] == [("embedding", (-1, 4), "float32")]
    assert column.encoding() == {
        "input": "text",
        "output": "embedding",
        "width": 4,
        "lengths": [8, 16],
        "pad_id": 0,
    }


def test_training_key_follows_data_code_and_parameters(tmp_path: Path) -> None:
    code = tmp_path / "train.py"
    code.write_text("code")
    keys = [training_key(data=["rows"], code=[code], params={"seed": 1})]
    assert keys == [training_key(data=["rows"], code=[code], params={"seed": 1})]
    keys.append(training_key(data=["rows"], code=[code], params={"seed": 2}))
    keys.append(training_key(data=["other rows"], code=[code], params={"seed": 1}))
    code.write_text("other code")
    keys.append(training_key(data=["rows"], code=[code], params={"seed": 1}))
    assert len(set(keys)) == 4


@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning")  # of MLflow's own import
def test_log_register_find_again(model: TrainedModel, tmp_path: Path) -> None:
    import mlflow

    before = mlflow.get_tracking_uri()
    try:
        client = connect(f"sqlite:///{tmp_path}/store/mlflow.db", "halves")
        assert find_version(client, "half", key="k1") is None
        version = log_and_register(client, model, name="half", alias="champion", key="k1", scratch=tmp_path)
        found = find_version(client, "half", key="k1")
        assert found is not None
        assert (found.version, found.tags[TRAINING_KEY_TAG]) == (version.version, "k1")
        assert found.tags["metric.valid_auc"] == "0.750000"
        assert find_version(client, "half", key="k2") is None
        assert not ensure_alias(client, found, alias="champion")
        assert ensure_alias(client, found, alias="challenger")
        folder = Path(mlflow.artifacts.download_artifacts("models:/half@challenger"))
    finally:
        mlflow.set_tracking_uri(before)
        mlflow.set_registry_uri(before)
    assert folder.is_relative_to(tmp_path / "store" / "artifacts")  # beside the database, not in the working folder
    artifact = read_artifact(folder, model="half")
    assert (artifact.backend, artifact.block_rows) == ("torch", 64)
    assert sorted(p.name for p in artifact.files.iterdir()) == ["baseline.json", "encoding.json", "network.pt2"]
    stored = Profile.from_json(json.loads((artifact.files / "baseline.json").read_text()))
    assert stored.columns["temp_f"].nulls == 1


@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning")  # of MLflow's own import
def test_a_model_of_another_backend_keeps_its_files(model: TrainedModel, tmp_path: Path) -> None:
    import mlflow
    import pandas as pd

    (tmp_path / "tokenizer.json").write_text("{}")
    column = TextColumn("text", "embedding", width=4, lengths=(8,), pad_id=0)
    example = pd.DataFrame({"text": ["a", "b"]})
    files = {"tokenizer": tmp_path / "tokenizer.json"}
    text = replace(model, columns=column, example=example, baseline=None, backend="text", block_rows=8, files=files)
    before = mlflow.get_tracking_uri()
    try:
        client = connect(f"sqlite:///{tmp_path}/store/mlflow.db", "texts")
        log_and_register(client, text, name="texts", alias="champion", key="k1", scratch=tmp_path)
        folder = Path(mlflow.artifacts.download_artifacts("models:/texts@champion"))
    finally:
        mlflow.set_tracking_uri(before)
        mlflow.set_registry_uri(before)
    artifact = read_artifact(folder, model="texts")
    assert (artifact.backend, artifact.block_rows) == ("text", 8)
    assert artifact.signature.outputs[0].shape == (4,)
    assert sorted(p.name for p in artifact.files.iterdir()) == ["encoding.json", "network.pt2", "tokenizer.json"]
