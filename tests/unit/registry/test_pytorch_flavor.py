"""Models of plain `mlflow.pytorch.log_model` give what MLflow's own pyfunc predicts."""

from pathlib import Path

import mlflow
import numpy as np
import pyarrow as pa
import pytest
import torch
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec

from lockstep.errors import PrecisionUnsupported
from lockstep.registry.artifact import read_artifact
from lockstep.registry.loading import flavor_of
from lockstep.scoring.backends import Execution
from tests.unit.registry import mlflow_models as models

FLOAT = np.dtype(np.float32)
TENSOR = Schema([TensorSpec(FLOAT, (-1, 6))])
PAIR = Schema([TensorSpec(FLOAT, (-1, 2))])
DOUBLES = Schema([ColSpec(DataType.double, name) for name in models.FEATURES])


def save(
    path: Path,
    network: torch.nn.Module,
    inputs: Schema,
    outputs: Schema,
    *,
    example: np.ndarray | tuple[np.ndarray, ...] | None = None,
    params: ParamSchema | None = None,
) -> Path:
    """As a program when there is an example, else as a pickle."""
    with models.quiet():
        mlflow.pytorch.save_model(
            network,
            str(path),
            signature=ModelSignature(inputs, outputs, params),
            input_example=example,
            serialization_format="pickle" if example is None else "pt2",
            pip_requirements=["torch"],
        )
    return path


def tensors(rows: int) -> np.ndarray:
    return models.features(rows).to_numpy(np.float32)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("pt2") / "m", models.trained(), TENSOR, PAIR, example=tensors(2))


@pytest.fixture(scope="module")
def pickle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    outputs = Schema([ColSpec(DataType.float, 0), ColSpec(DataType.float, 1)])
    return save(tmp_path_factory.mktemp("eager") / "m", models.trained(), DOUBLES, outputs)


def test_an_exported_program_takes_a_tensor(program: Path) -> None:
    given = tensors(200)
    scored = models.scorer_at(program).score(models.tensor_batch(given))
    np.testing.assert_allclose(scored.values, models.mlflow_predict(program, given), atol=1e-6, rtol=0)
    models.assert_bits_hold(program, lambda rows: models.tensor_batch(tensors(rows)))


def test_a_pickled_module_takes_columns_and_gives_several(pickle: Path) -> None:
    frame = models.features(200)
    scored = models.scorer_at(pickle).score(pa.RecordBatch.from_pandas(frame))
    expected = models.mlflow_predict(pickle, frame)
    assert [column.name for column in read_artifact(pickle, model="m").signature.outputs] == ["0", "1"]
    np.testing.assert_allclose(np.stack(scored.outputs, axis=1), expected.to_numpy(), atol=1e-6, rtol=0)
    models.assert_bits_hold(pickle, lambda rows: pa.RecordBatch.from_pandas(models.features(rows)))


def test_a_program_of_one_row_scores_any_number(tmp_path: Path) -> None:
    path = save(tmp_path / "m", models.trained(), TENSOR, PAIR, example=tensors(1))
    scored = models.scorer_at(path).score(models.tensor_batch(tensors(70)))
    assert not scored.reasons
    np.testing.assert_allclose(scored.values[:1], models.mlflow_predict(path, tensors(1)), atol=1e-6, rtol=0)
    np.testing.assert_allclose(scored.values, models.trained()(torch.from_numpy(tensors(70))).detach(), atol=1e-6)


class Product(torch.nn.Module):
    """Two inputs, and one of them is written to."""

    def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        """Multiply and add up."""
        left.mul_(2)
        return (left * right).sum(dim=1)


def test_several_tensors_and_a_network_that_writes_to_its_input(tmp_path: Path) -> None:
    inputs = Schema([TensorSpec(FLOAT, (-1, 6), "left"), TensorSpec(FLOAT, (-1, 6), "right")])
    outputs = Schema([TensorSpec(FLOAT, (-1,), "sum")])
    path = save(tmp_path / "m", Product(), inputs, outputs, example=(tensors(4), tensors(4)))

    def batch(rows: int) -> pa.RecordBatch:
        column = models.tensor_batch(tensors(rows)).column(0)
        return pa.RecordBatch.from_arrays([column, column], names=["right", "left"])

    scored = models.scorer_at(path).score(batch(200))
    np.testing.assert_allclose(scored.values, 2 * (tensors(200) ** 2).sum(axis=1), rtol=1e-6)
    models.assert_bits_hold(path, batch)


class Named(torch.nn.Module):
    """Returns a dict, in another order than the signature."""

    def forward(self, given: torch.Tensor) -> dict[str, torch.Tensor]:
        """Two figures of a row."""
        return {"largest": given.amax(dim=1), "total": given.sum(dim=1)}


def test_outputs_by_name(tmp_path: Path) -> None:
    outputs = Schema([TensorSpec(FLOAT, (-1,), "total"), TensorSpec(FLOAT, (-1,), "largest")])
    path = save(tmp_path / "m", Named(), TENSOR, outputs)
    scored = models.scorer_at(path).score(models.tensor_batch(tensors(80)))
    np.testing.assert_allclose(scored.outputs[0], tensors(80).sum(axis=1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(scored.outputs[1], tensors(80).max(axis=1))


def test_what_may_be_called_by_several_threads(tmp_path: Path, program: Path, pickle: Path) -> None:
    layers = save(tmp_path / "m", torch.nn.Sequential(torch.nn.Linear(6, 2), torch.nn.ReLU()), TENSOR, PAIR)
    assert models.scorer_at(program).parallel
    assert models.scorer_at(layers).parallel
    assert not models.scorer_at(pickle).parallel  # code of a user


class Scaled(torch.nn.Module):
    """Has a parameter with a default in the signature alone."""

    def forward(self, given: torch.Tensor, factor: float = 1.0) -> torch.Tensor:
        """Scale the sum of a row."""
        return given.sum(dim=1) * factor


def test_parameters_of_the_signature_go_through_the_pyfunc(tmp_path: Path) -> None:
    params = ParamSchema([ParamSpec("factor", DataType.double, 3.0)])
    path = save(tmp_path / "m", Scaled(), TENSOR, Schema([TensorSpec(FLOAT, (-1,))]), params=params)
    assert flavor_of(read_artifact(path, model="m")) == "python_function"
    scored = models.scorer_at(path).score(models.tensor_batch(tensors(80)))
    np.testing.assert_allclose(scored.values, models.mlflow_predict(path, tensors(80)), atol=1e-6)
    np.testing.assert_allclose(scored.values, 3 * tensors(80).sum(axis=1), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("precision", "bound"), [("bfloat16", 0.05), ("float16", 0.01), ("int8", 0.05)])
def test_reduced_precision_is_close_and_holds_its_bits(pickle: Path, precision: str, bound: float) -> None:
    execution = Execution(device="cpu", precision=precision)
    batch = pa.RecordBatch.from_pandas(models.features(640))
    exact, reduced = models.scorer_at(pickle).score(batch), models.scorer_at(pickle, execution=execution).score(batch)
    assert 0 < np.abs(exact.values - reduced.values).max() < bound
    models.assert_bits_hold(pickle, lambda r: pa.RecordBatch.from_pandas(models.features(r)), execution=execution)


def test_int8_where_it_cannot_be(tmp_path: Path, program: Path) -> None:
    int8 = Execution(device="cpu", precision="int8")
    with pytest.raises(PrecisionUnsupported, match="exported program"):
        models.scorer_at(program, execution=int8)
    path = save(tmp_path / "m", Product(), TENSOR, PAIR)
    with pytest.raises(PrecisionUnsupported, match="no linear layer"):
        models.scorer_at(path, execution=int8)
