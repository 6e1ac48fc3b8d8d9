"""Models of scikit-learn give what MLflow gives for a data frame, whichever way they are called."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from mlflow.models import ModelSignature, infer_signature
from mlflow.types import ColSpec, Schema
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    VotingRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from lockstep.errors import ArtifactInvalid
from lockstep.registry.artifact import read_artifact
from lockstep.registry.loading import flavor_of
from lockstep.registry.pyfunc_backend import PyfuncBackend
from lockstep.registry.sklearn_flavor import MatrixBackend, load
from lockstep.scoring.backends import Execution
from tests.unit.registry import mlflow_models as models

ROWS = 200
FRAME = models.features(ROWS)
WANTED = FRAME["a"] * FRAME["b"] + np.sin(FRAME["c"])
MIXED = FRAME.assign(carrier=np.where(FRAME["a"] > 0, "AA", "UA"), late=FRAME["b"] > 0, stops=np.arange(ROWS) % 3)


class Scaled(BaseEstimator):
    """Not scikit-learn's own: it asks for a column by name, though it was fitted on a matrix."""

    def predict(self, given):
        """Double."""
        return given["a"] * 2


def by_matrix() -> dict[str, BaseEstimator]:
    """Read nothing but numbers, fitted on a matrix, on a frame, or inside of others."""
    numbers = FRAME.to_numpy()
    return {
        "linear": LinearRegression().fit(numbers, WANTED),
        "linear of a frame": Ridge().fit(FRAME, WANTED),
        "boosted": HistGradientBoostingRegressor(max_iter=9).fit(numbers, WANTED),
        "boosted of a frame": HistGradientBoostingRegressor(max_iter=9).fit(FRAME, WANTED),
        "boosted, the old way": GradientBoostingRegressor(n_estimators=5).fit(FRAME, WANTED),
        "forest": RandomForestClassifier(5).fit(FRAME, FRAME["a"] > 0),
        "pipeline": make_pipeline(StandardScaler(), LinearRegression()).fit(numbers, WANTED),
        "search": GridSearchCV(Ridge(), {"alpha": [1, 2]}, cv=2).fit(numbers, WANTED),
    }


def by_frame() -> dict[str, BaseEstimator]:
    """Look at names, or may do so."""
    columns = ColumnTransformer([("first", StandardScaler(), ["a", "b"])])
    return {
        "columns": make_pipeline(columns, LinearRegression()).fit(FRAME, WANTED),
        "pipeline of a frame": make_pipeline(StandardScaler(), LinearRegression()).fit(FRAME, WANTED),
        "own function": make_pipeline(FunctionTransformer(np.asarray), Ridge()).fit(FRAME.to_numpy(), WANTED),
        "vote": VotingRegressor([("one", Ridge()), ("two", LinearRegression())]).fit(FRAME, WANTED),
        "search of a frame": GridSearchCV(Ridge(), {"alpha": [1, 2]}, cv=2).fit(FRAME, WANTED),
    }


def saved(path: Path, model: BaseEstimator, given: pd.DataFrame, *, method: str = "predict") -> Path:
    """Log a model of one output; `float` columns where the frame has float32."""
    with models.quiet():
        signature = infer_signature(given, np.zeros(3))
    return models.save_sklearn(path, model, signature=signature, method=method)


def backend_of(path: Path) -> object:
    return load(read_artifact(path, model="m"), Execution())


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", by_matrix())
def test_numbers_go_as_a_matrix(tmp_path: Path, name: str, dtype: type[np.floating]) -> None:
    frame = FRAME.astype(dtype)
    path = saved(tmp_path / "m", by_matrix()[name], frame)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of names that a model misses
        assert isinstance(backend_of(path), MatrixBackend)
        scorer = models.scorer_at(path)
        scored = scorer.score(pa.RecordBatch.from_pandas(frame))
    assert not scored.reasons
    with models.quiet():
        expected = np.asarray(models.mlflow_predict(path, frame), dtype=np.float64)
    np.testing.assert_allclose(scored.values, expected, rtol=1e-12)
    values = [frame[column].tolist()[:50] for column in frame]
    few = scorer.score_values(values, 50)
    assert few is not None
    assert few.values.tobytes() == scored.values[:50].tobytes()


@pytest.mark.parametrize("name", by_frame())
def test_who_may_look_at_names_gets_a_frame(tmp_path: Path, name: str) -> None:
    path = saved(tmp_path / "m", by_frame()[name], FRAME)
    assert isinstance(backend_of(path), PyfuncBackend)
    with models.quiet():
        scored = models.scorer_at(path).score(pa.RecordBatch.from_pandas(FRAME))
        np.testing.assert_allclose(scored.values, models.mlflow_predict(path, FRAME), rtol=1e-12)


def test_a_signature_in_another_order_than_that_of_the_fit_is_refused_as_by_mlflow(tmp_path: Path) -> None:
    path = saved(tmp_path / "m", Ridge().fit(FRAME[["b", "a", "c", "d", "e", "f"]], WANTED), FRAME)
    with pytest.raises(ValueError, match="same order"):
        models.mlflow_predict(path, FRAME)
    assert len(models.scorer_at(path).score(pa.RecordBatch.from_pandas(FRAME)).reasons) == ROWS


def test_text_numbers_and_flags_go_as_a_frame_of_their_types(tmp_path: Path) -> None:
    text = ColumnTransformer([("text", OneHotEncoder(), ["carrier"])], remainder="passthrough")
    model = make_pipeline(text, LogisticRegression()).fit(MIXED, FRAME["c"] > 0)
    path = saved(tmp_path / "m", model, MIXED, method="predict_log_proba")
    artifact = read_artifact(path, model="m")
    assert flavor_of(artifact) == "sklearn"
    assert isinstance(backend_of(path), PyfuncBackend)


def test_the_method_that_a_model_was_logged_with(tmp_path: Path) -> None:
    model = RandomForestClassifier(5).fit(FRAME, FRAME["a"] > 0)
    outputs = Schema([ColSpec("double", "no"), ColSpec("double", "yes")])
    signature = ModelSignature(infer_signature(FRAME).inputs, outputs)
    path = models.save_sklearn(tmp_path / "m", model, signature=signature, method="predict_proba")
    scored = models.scorer_at(path).score(pa.RecordBatch.from_pandas(FRAME))
    np.testing.assert_array_equal(np.stack(scored.outputs, axis=1), model.predict_proba(FRAME))


def test_somebodys_own_estimator_gets_a_frame(tmp_path: Path) -> None:
    path = saved(tmp_path / "m", Scaled(), FRAME)
    scored = models.scorer_at(path).score(pa.RecordBatch.from_pandas(FRAME))
    np.testing.assert_array_equal(scored.values, FRAME["a"] * 2)


def test_nulls_are_not_numbers(tmp_path: Path) -> None:
    path = saved(tmp_path / "m", by_matrix()["boosted"], FRAME)
    columns = {name: [*FRAME[name].tolist()[:9], None] for name in FRAME}
    scorer = models.scorer_at(path)
    scored, few = scorer.score(pa.RecordBatch.from_pydict(columns)), scorer.score_values(list(columns.values()), 10)
    assert few is not None
    assert scored.values.tobytes() == few.values.tobytes()
    refused = models.scorer_at(saved(tmp_path / "n", by_matrix()["linear"], FRAME))
    assert list(refused.score(pa.RecordBatch.from_pydict(columns)).reasons) == [9]


def test_a_broken_pickle_is_one_clear_error(tmp_path: Path) -> None:
    path = saved(tmp_path / "m", by_matrix()["linear"], FRAME)
    (path / "model.pkl").write_bytes(b"nothing")
    with pytest.raises(ArtifactInvalid, match="MLflow cannot load it"):
        backend_of(path)
