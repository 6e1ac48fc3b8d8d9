"""Whatever a pyfunc takes and returns, Lockstep gives what `predict` gives."""

from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from mlflow.models import ModelSignature, infer_signature
from mlflow.types import ColSpec, DataType, Schema
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LinearRegression

from lockstep.registry.artifact import read_artifact
from lockstep.registry.loading import flavor_of
from lockstep.registry.pyfunc_backend import PyfuncBackend
from tests.unit.registry import mlflow_models as models

FRAME = models.features(200)


class Forms(mlflow.pyfunc.PythonModel):
    """Returns the same two figures in the form that it was made with."""

    def __init__(self, form: str) -> None:
        self.form = form

    def predict(self, context, model_input, params=None):  # MLflow reads type hints
        """Two figures of a row."""
        total, least = model_input.sum(axis=1), model_input.min(axis=1)
        forms = {
            "frame": lambda: pd.DataFrame({"least": least, "total": total}),
            "dict": lambda: {"least": least.to_numpy(), "total": total.to_numpy()},
            "array": lambda: np.stack([total, least], axis=1),
            "rows": lambda: [{"total": a, "least": b} for a, b in zip(total, least, strict=True)],
            "lists": lambda: np.stack([total, least], axis=1).tolist(),
            "tuple": lambda: (total, least),
            "nullable": lambda: pd.DataFrame({"total": total.astype("Float64"), "least": least.astype("Float64")}),
            "series": lambda: total,
            "list": total.tolist,
        }
        return forms[self.form]()


def save(path: Path, form: str, outputs: pd.DataFrame) -> Path:
    with models.quiet():
        mlflow.pyfunc.save_model(
            str(path),
            python_model=Forms(form),
            signature=infer_signature(FRAME, outputs),
            pip_requirements=["pandas"],
        )
    return path


@pytest.mark.parametrize("form", ["frame", "dict", "array", "rows", "lists", "tuple", "nullable"])
def test_several_outputs_in_any_form(tmp_path: Path, form: str) -> None:
    outputs = pd.DataFrame({"total": [1.0], "least": [1.0]})
    scored = models.scorer_at(save(tmp_path / "m", form, outputs)).score(pa.RecordBatch.from_pandas(FRAME))
    assert not scored.reasons
    np.testing.assert_allclose(scored.outputs[0], FRAME.sum(axis=1), rtol=1e-12)
    np.testing.assert_allclose(scored.outputs[1], FRAME.min(axis=1), rtol=1e-12)


@pytest.mark.parametrize("form", ["series", "list"])
def test_one_output_in_any_form(tmp_path: Path, form: str) -> None:
    path = save(tmp_path / "m", form, pd.DataFrame({"total": [1.0]}))
    scored = models.scorer_at(path).score(pa.RecordBatch.from_pandas(FRAME))
    np.testing.assert_allclose(scored.values, np.asarray(models.mlflow_predict(path, FRAME)), rtol=1e-12)


def save_sklearn(
    path: Path, model: BaseEstimator, given: pd.DataFrame | np.ndarray, *, method: str = "predict"
) -> Path:
    signature = infer_signature(given, getattr(model, method)(given))
    return models.save_sklearn(path, model, signature=signature, method=method)


def test_a_model_of_scikit_learn_with_text_labels(tmp_path: Path) -> None:
    model = HistGradientBoostingClassifier(max_iter=5).fit(FRAME, np.where(FRAME["a"] > 0, "late", "punctual"))
    path = save_sklearn(tmp_path / "m", model, FRAME)
    scored = models.scorer_at(path).score(pa.RecordBatch.from_pandas(FRAME))
    assert flavor_of(read_artifact(path, model="m")) == "sklearn"
    assert scored.values.tolist() == models.mlflow_predict(path, FRAME).tolist()
    models.assert_bits_hold(path, lambda rows: pa.RecordBatch.from_pandas(models.features(rows)))


def test_probabilities_are_a_tensor(tmp_path: Path) -> None:
    model = HistGradientBoostingClassifier(max_iter=5).fit(FRAME, FRAME["a"] > 0)
    path = save_sklearn(tmp_path / "m", model, FRAME, method="predict_proba")
    scored = models.scorer_at(path).score(pa.RecordBatch.from_pandas(FRAME))
    np.testing.assert_allclose(scored.values, models.mlflow_predict(path, FRAME), atol=1e-6)


@pytest.mark.parametrize("shape", [(6,), (1,)])
def test_tensors_without_a_name_keep_their_shape(tmp_path: Path, shape: tuple[int, ...]) -> None:
    values = FRAME.to_numpy()[:, : shape[0]]
    path = save_sklearn(tmp_path / "m", LinearRegression().fit(values, FRAME["a"]), values)
    batch = models.tensor_batch(values) if shape[0] > 1 else pa.RecordBatch.from_pydict({"input": values[:, 0]})
    scored = models.scorer_at(path).score(batch)
    assert not scored.reasons
    np.testing.assert_allclose(scored.values, models.mlflow_predict(path, values), atol=1e-6)


class NamedTensors(mlflow.pyfunc.PythonModel):
    """Takes two tensors by name, and writes to one of them."""

    def predict(self, context, model_input, params=None):
        """Add up."""
        model_input["left"] += 1
        return (model_input["left"] * model_input["right"]).sum(axis=1)


def test_named_tensors_one_of_a_single_value(tmp_path: Path) -> None:
    question = {"left": FRAME.to_numpy(), "right": FRAME.to_numpy()[:, :1]}
    path = tmp_path / "m"
    with models.quiet():
        mlflow.pyfunc.save_model(
            str(path),
            python_model=NamedTensors(),
            signature=infer_signature(question, np.zeros(3)),
            pip_requirements=["pandas"],
        )
    left = models.tensor_batch(question["left"]).column(0)
    batch = pa.RecordBatch.from_arrays([left, pa.array(question["right"][:, 0])], names=["left", "right"])
    scorer = models.scorer_at(path)
    first, second = scorer.score(batch), scorer.score(batch)
    assert first.values.tobytes() == second.values.tobytes()
    expected = ((FRAME.to_numpy() + 1) * question["right"]).sum(axis=1)
    np.testing.assert_allclose(first.values, expected, atol=1e-6)


class Counts(mlflow.pyfunc.PythonModel):
    """Takes an optional whole number."""

    def predict(self, context, model_input, params=None):
        """Double it."""
        return model_input["count"] * 2.0


def test_an_optional_whole_number_that_is_null_spoils_no_other_row(tmp_path: Path) -> None:
    path = tmp_path / "m"
    inputs = Schema([ColSpec(DataType.long, "count", required=False)])
    signature = ModelSignature(inputs, Schema([ColSpec(DataType.double, "double")]))
    with models.quiet():
        mlflow.pyfunc.save_model(str(path), python_model=Counts(), signature=signature, pip_requirements=["pandas"])
    counts = pa.array([1, None, 3, *range(100)], pa.int64())
    scored = models.scorer_at(path).score(pa.RecordBatch.from_pydict({"count": counts}))
    assert scored.values[[0, 2, 3]].tolist() == [2.0, 6.0, 0.0]
    assert list(scored.reasons) == [1]


def test_a_model_of_columns_is_a_pyfunc_backend(registry: str) -> None:
    from lockstep.registry.resolve import resolve_model

    scorer = models.scorer_at(Path(resolve_model(registry, "sums", alias="champion").location))
    assert isinstance(scorer._backend, PyfuncBackend)
