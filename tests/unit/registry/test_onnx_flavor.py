"""Models of plain `mlflow.onnx.log_model` give what MLflow's own pyfunc predicts."""

from pathlib import Path

import mlflow
import numpy as np
import onnx
import pandas as pd
import pyarrow as pa
import pytest
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema, TensorSpec

from lockstep.errors import ArtifactInvalid, DeviceMissing, PrecisionUnsupported
from lockstep.scoring.backends import Execution
from lockstep.scoring.onnx_runner import choose_providers
from tests.unit.registry import mlflow_models as models

FLOAT = np.dtype(np.float32)
DOUBLES = Schema([ColSpec(DataType.double, name) for name in models.FEATURES])
TENSOR = Schema([TensorSpec(FLOAT, (-1, 6))])


def save(path: Path, model: onnx.ModelProto, inputs: Schema, outputs: Schema) -> Path:
    with models.quiet():
        mlflow.onnx.save_model(
            model, str(path), signature=ModelSignature(inputs, outputs), pip_requirements=["onnxruntime"]
        )
    return path


@pytest.fixture(scope="module")
def network() -> models.Network:
    return models.trained()


def test_columns_become_the_matrix_of_a_graph_with_one_input(tmp_path: Path) -> None:
    outputs = Schema([ColSpec(DataType.float, "values")])
    path = save(tmp_path / "m", models.graph(models.trained(outputs=1)), DOUBLES, outputs)
    frame = models.features(300)
    scored = models.scorer_at(path).score(pa.RecordBatch.from_pandas(frame))
    expected = models.mlflow_predict(path, frame)["values"]
    np.testing.assert_allclose(scored.values, expected, atol=1e-6, rtol=0)
    models.assert_bits_hold(path, lambda rows: pa.RecordBatch.from_pandas(models.features(rows)))


def test_a_tensor_gives_several_outputs(tmp_path: Path, network: models.Network) -> None:
    outputs = Schema([TensorSpec(FLOAT, (-1, 2), "values"), TensorSpec(np.dtype(np.int64), (-1,), "label")])
    path = save(tmp_path / "m", models.graph(network, outputs="both"), TENSOR, outputs)
    given = models.features(200).to_numpy(np.float32)
    scorer = models.scorer_at(path)
    scored = scorer.score(models.tensor_batch(given))
    assert scorer.parallel
    expected = models.mlflow_predict(path, given)
    np.testing.assert_allclose(scored.outputs[0], expected["values"], atol=1e-6, rtol=0)
    assert scored.outputs[1].tolist() == expected["label"].tolist()
    models.assert_bits_hold(path, lambda rows: models.tensor_batch(models.features(rows).to_numpy(np.float32)))


def test_a_matrix_is_split_into_the_columns_of_the_signature(tmp_path: Path, network: models.Network) -> None:
    outputs = Schema([ColSpec(DataType.float, "curve"), ColSpec(DataType.float, "product")])
    path = save(tmp_path / "m", models.graph(network), DOUBLES, outputs)
    frame = models.features(50)
    scored = models.scorer_at(path).score(pa.RecordBatch.from_pandas(frame))
    # MLflow's pyfunc lays the matrix out as one column, row by row.
    expected = models.mlflow_predict(path, frame)["values"].to_numpy().reshape(-1, 2)
    np.testing.assert_allclose(np.stack(scored.outputs, axis=1), expected, atol=1e-6, rtol=0)


def test_named_tensors(tmp_path: Path, network: models.Network) -> None:
    inputs = Schema([TensorSpec(FLOAT, (-1, 6), "x")])
    path = save(tmp_path / "m", models.graph(network), inputs, Schema([TensorSpec(FLOAT, (-1, 2), "values")]))
    given = models.features(100).to_numpy(np.float32)
    scored = models.scorer_at(path).score(models.tensor_batch(given, "x"))
    expected = models.mlflow_predict(path, {"x": given})["values"]
    np.testing.assert_allclose(scored.values, expected, atol=1e-6, rtol=0)


def test_columns_by_name(tmp_path: Path) -> None:
    kinds = {"name": DataType.string, "size": DataType.double, "count": DataType.long}
    inputs = Schema([ColSpec(kind, name) for name, kind in kinds.items()])
    outputs = Schema([ColSpec(DataType.string, "label"), ColSpec(DataType.float, "total")])
    path = save(tmp_path / "m", models.graph_of_columns(), inputs, outputs)
    frame = pd.DataFrame({"name": [f"é{i}" for i in range(99)], "size": np.arange(99) / 7, "count": range(99)})
    scored = models.scorer_at(path).score(pa.RecordBatch.from_pandas(frame))
    expected = models.mlflow_predict(path, frame)
    assert scored.outputs[0].tolist() == expected["label"].tolist()
    np.testing.assert_allclose(scored.outputs[1], expected["total"], atol=1e-6, rtol=0)


def test_a_graph_of_one_row(tmp_path: Path, network: models.Network) -> None:
    """Exported for a single row, as many graphs are: MLflow takes one row at a time, Lockstep any number."""
    outputs = Schema([TensorSpec(FLOAT, (-1, 2), "values")])
    path = save(tmp_path / "m", models.graph(network, rows=1), TENSOR, outputs)
    given = models.features(70).to_numpy(np.float32)
    scored = models.scorer_at(path).score(models.tensor_batch(given))
    one = models.mlflow_predict(path, given[3:4])["values"]
    np.testing.assert_allclose(scored.values[3:4], one, atol=1e-6, rtol=0)
    assert scored.values.shape == (70, 2)
    assert not scored.reasons


def test_a_signature_that_the_graph_does_not_fit(tmp_path: Path, network: models.Network) -> None:
    def both() -> onnx.ModelProto:  # saving a graph moves its weights out of it
        return models.graph(network, outputs="both")

    unknown = Schema([TensorSpec(FLOAT, (-1, 2), "values"), TensorSpec(FLOAT, (-1,), "certainty")])
    with pytest.raises(ArtifactInvalid, match="declares outputs values, certainty"):
        models.scorer_at(save(tmp_path / "outputs", both(), TENSOR, unknown))
    named = Schema([TensorSpec(FLOAT, (-1, 6), "z")])
    with pytest.raises(ArtifactInvalid, match=r"its graph takes x, which the signature does not have \(z\)"):
        models.scorer_at(save(tmp_path / "inputs", both(), named, Schema([TensorSpec(FLOAT, (-1, 2), "values")])))


def test_int8_is_close_and_knows_no_neighbours(tmp_path: Path) -> None:
    path = save(
        tmp_path / "m", models.graph(models.trained(width=256)), TENSOR, Schema([TensorSpec(FLOAT, (-1, 2), "values")])
    )
    int8 = Execution(device="cpu", precision="int8")
    given = models.features(640).to_numpy(np.float32)
    given[0] *= 1000  # one scale for all rows would leave the others nothing
    exact = models.scorer_at(path).score(models.tensor_batch(given)).values
    reduced = models.scorer_at(path, execution=int8).score(models.tensor_batch(given)).values
    difference = np.abs(exact[1:] - reduced[1:]).max()
    assert 0 < difference < 0.05
    models.assert_bits_hold(
        path, lambda rows: models.tensor_batch(models.features(rows).to_numpy(np.float32)), execution=int8
    )


def test_precisions_that_it_does_not_know(tmp_path: Path) -> None:
    schema = Schema([ColSpec(DataType.string, "label")])
    kinds = {"name": DataType.string, "size": DataType.double, "count": DataType.long}
    path = save(tmp_path / "m", models.graph_of_columns(), Schema([ColSpec(k, n) for n, k in kinds.items()]), schema)
    with pytest.raises(PrecisionUnsupported, match="no product with a constant"):
        models.scorer_at(path, execution=Execution(device="cpu", precision="int8"))
    with pytest.raises(PrecisionUnsupported, match="knows float32, int8"):
        models.scorer_at(path, execution=Execution(device="cpu", precision="bfloat16"))


def test_devices() -> None:
    both = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    assert choose_providers("auto", both)[0] == "cuda:0"
    assert choose_providers("cuda:3", both)[1][0][1]["device_id"] == 3
    assert choose_providers("auto", both[1:]) == ("cpu", both[1:])
    assert choose_providers("cpu", both) == ("cpu", both[1:])
    with pytest.raises(DeviceMissing, match=r"asks for cuda, but onnxruntime sees only CPUExecutionProvider"):
        choose_providers("cuda", both[1:])


def test_a_graph_that_lacks_its_weights(tmp_path: Path, network: models.Network) -> None:
    path = save(tmp_path / "m", models.graph(network), TENSOR, Schema([TensorSpec(FLOAT, (-1, 2), "values")]))
    for file in path.glob("*.data"):
        file.unlink()
    with pytest.raises(ArtifactInvalid, match="ONNX Runtime cannot load it"):
        models.scorer_at(path)
