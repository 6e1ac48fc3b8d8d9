"""The precision guard, and the rows that it draws when there are none."""

import json
from pathlib import Path

import mlflow
import numpy as np
import pyarrow as pa
import pytest
import yaml
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema, TensorSpec

from lockstep.errors import PrecisionRefused, PrecisionUnsupported
from lockstep.registry.artifact import read_artifact
from lockstep.registry.model_sample import model_sample
from lockstep.registry.precision import measure_precision
from lockstep.scoring.backends import Execution
from lockstep.scoring.profile import build_baseline
from tests.unit.registry import mlflow_models as models

BF16 = Execution(device="cpu", precision="bfloat16")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pickled network over six columns, with an input example."""
    path = tmp_path_factory.mktemp("model") / "m"
    inputs = Schema([ColSpec(DataType.double, name) for name in models.FEATURES])
    outputs = Schema([ColSpec(DataType.float, "curve"), ColSpec(DataType.float, "product")])
    with models.quiet():
        mlflow.pytorch.save_model(
            models.trained(),
            str(path),
            signature=ModelSignature(inputs, outputs),
            input_example=models.features(5),
            serialization_format="pickle",
            pip_requirements=["torch"],
        )
    return path


def test_what_is_measured_is_what_differs(model: Path) -> None:
    frame = models.features(500)
    batch = pa.RecordBatch.from_pandas(frame)
    measured = measure_precision(model, BF16, title="m version 1", limit=0.5, sample=(batch, "500 rows"))
    exact = models.scorer_at(model).score(batch)
    reduced = models.scorer_at(model, execution=BF16).score(batch)
    apart = np.abs(np.stack(exact.outputs).astype(float) - np.stack(reduced.outputs))
    assert measured.max_difference == apart.max() > 0
    assert measured.mean_difference == pytest.approx(apart.mean())
    assert (measured.precision, measured.rows, measured.source, measured.limit) == ("bfloat16", 500, "500 rows", 0.5)
    one = measure_precision(model, BF16, title="m", limit=0.5, outputs=["product"], sample=(batch, "500 rows"))
    assert one.max_difference == apart[1].max()


def test_above_the_limit_is_refused(model: Path) -> None:
    told = (
        r"m version 1 in bfloat16 differs from float32 by up to 0\.\d+; .* allows 1e-06. Measured on 4,096 rows drawn"
    )
    with pytest.raises(PrecisionRefused, match=told):
        measure_precision(model, BF16, title="m version 1", limit=1e-6)


def test_rows_that_only_one_precision_scores(tmp_path: Path) -> None:
    """Overflow: 65,520 and more is infinite in float16."""
    path = tmp_path / "m"
    network = models.Network(outputs=1)
    for parameter in network.parameters():
        parameter.data.fill_(200.0)
    with models.quiet():
        mlflow.pytorch.save_model(
            network,
            str(path),
            signature=ModelSignature(
                Schema([TensorSpec(np.dtype(np.float32), (-1, 6))]), Schema([TensorSpec(np.dtype(np.float32), (-1, 1))])
            ),
            serialization_format="pickle",
            pip_requirements=["torch"],
        )
    batch = models.tensor_batch(np.full((64, 6), 9.0, np.float32))
    half = Execution(device="cpu", precision="float16")
    with pytest.raises(PrecisionRefused, match="rows that one scores and the other does not"):
        measure_precision(path, half, title="m version 1", limit=1.0, sample=(batch, "64 rows"))
    with pytest.raises(PrecisionUnsupported, match="neither a baseline nor an input example"):
        measure_precision(path, half, title="m version 1", limit=1.0)
    nulls = models.tensor_batch(np.full((64, 6), np.nan, np.float32))
    with pytest.raises(PrecisionUnsupported, match="of 64 rows, none can be scored"):
        measure_precision(path, half, title="m version 1", limit=1.0, sample=(nulls, "64 rows"))


def test_rows_around_the_input_example(model: Path) -> None:
    drawn = model_sample(read_artifact(model, model="m"), rows=100)
    assert drawn is not None
    batch, source = drawn
    assert source == "100 rows drawn from the model's input example"
    example = models.features(5)
    for name in models.FEATURES:
        values = batch.column(name).to_numpy()
        assert example[name].min() <= values.min() < values.max() <= example[name].max()


def write_artifact(folder: Path, inputs: list[dict[str, object]], example: object = None) -> Path:
    """An MLmodel file of a signature, without a model."""
    facts = {"signature": {"inputs": json.dumps(inputs), "outputs": '[{"type": "double"}]'}}
    if example is not None:
        (folder / "example.json").write_text(json.dumps(example))
        facts["saved_input_example_info"] = {"artifact_path": "example.json"}
    (folder / "MLmodel").write_text(yaml.safe_dump(facts))
    return folder


def test_rows_of_the_baseline(tmp_path: Path) -> None:
    inputs = [
        {"name": "city", "type": "string"},
        {"name": "age", "type": "double"},
        {"name": "rooms", "type": "long"},
        {"name": "new", "type": "boolean"},
    ]
    path = write_artifact(tmp_path, inputs)
    columns = {
        "city": pa.array(["bern", "bern", "oslo", None] * 25),
        "age": np.array([1.0, 2.0, np.nan, 9.0] * 25),
        "rooms": np.array([1.0, 2.0, 3.0, 4.0] * 25),
        "new": pa.array([True, True, True, False] * 25),
    }
    (path / "artifacts").mkdir()
    (path / "artifacts" / "baseline.json").write_text(json.dumps(build_baseline(columns).to_json()))
    drawn = model_sample(read_artifact(path, model="m"), rows=1000)
    assert drawn is not None
    batch, source = drawn
    assert source == "1,000 rows drawn from the model's baseline"
    assert [str(field.type) for field in batch.schema] == ["string", "double", "int64", "bool"]
    assert 600 < batch.column("city").to_pylist().count("bern") + batch.column("city").null_count < 950
    assert 150 < batch.column("age").null_count < 350
    assert 1 <= min(batch.column("rooms").to_pylist()) < max(batch.column("rooms").to_pylist()) <= 4
    assert batch.column("rooms").null_count == 0
    assert drawn[0].equals(model_sample(read_artifact(path, model="m"), rows=1000)[0])


def test_rows_of_tensors(tmp_path: Path) -> None:
    tensor = {"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 2, 2]}}
    path = write_artifact(tmp_path, [tensor], [[[1.0, 2.0], [3.0, 4.0]], [[1.0, 4.0], [3.0, 8.0]]])
    drawn = model_sample(read_artifact(path, model="m"), rows=50)
    assert drawn is not None
    values = drawn[0].column(0).flatten().to_numpy().reshape(50, 2, 2)
    assert values.dtype == np.float32
    assert np.all(values[:, 0, 0] == 1.0)
    assert values[:, 1, 1].std() > 0


def test_a_column_that_nothing_is_known_of(tmp_path: Path) -> None:
    path = write_artifact(tmp_path, [{"name": "a", "type": "double"}], {"columns": ["b"], "data": [[1.0]]})
    assert model_sample(read_artifact(path, model="m"), rows=5) is None
