"""A model whose score of a row depends on its company, or on chance, is found before its first night."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from lockstep.checkup.comparing import compare_with_mlflow
from lockstep.checkup.findings import Finding, worst
from lockstep.checkup.sampling import Scored
from lockstep.errors import CheckFailed
from lockstep.registry.artifact import artifact_digest, read_artifact
from lockstep.registry.loading import load_scorer
from lockstep.run.exit_codes import PARITY_DIFFERS
from lockstep.run.plan import ModelIdentity
from lockstep.specs.settings import Settings

MODEL = """\
import mlflow
import numpy as np


class Model(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        x = model_input["x"].to_numpy()
        return {body}


mlflow.models.set_model(Model())
"""
ROWS = 300


@dataclass(frozen=True)
class Planned:
    """What a comparison asks of a plan."""

    model: ModelIdentity

    @property
    def spec(self) -> Any:
        """As far as it is looked at."""
        return SimpleNamespace(model=SimpleNamespace(precision="float32"))


def looked_at(folder: Path, body: str) -> Finding:
    """Save a model, score rows as a worker does, and compare."""
    import mlflow.pyfunc
    from mlflow.models import infer_signature

    (folder / "model.py").write_text(MODEL.format(body=body))
    rows = pd.DataFrame({"x": np.random.default_rng(0).normal(size=ROWS)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.pyfunc.save_model(
            str(folder / "saved"),
            python_model=str(folder / "model.py"),
            signature=infer_signature(rows, rows["x"].to_numpy()),
            pip_requirements=["mlflow"],
        )
    path = folder / "saved"
    signature = read_artifact(path, model="model").signature
    identity = ModelIdentity(
        name="model", version=1, digest=artifact_digest(path), location=str(path), inputs=signature.inputs,
        outputs=signature.outputs,
    )  # fmt: skip
    batch = pa.RecordBatch.from_pandas(rows, preserve_index=False)
    scorer = load_scorer(path)
    sample = Scored(pa.Table.from_batches([batch]), batch, scorer.score(batch), scorer, 1.0, ROWS)
    plan: Any = Planned(identity)
    return compare_with_mlflow(sample, plan, Settings.from_env({"LOCKSTEP_HOME": str(folder / "var")}))


def test_a_function_of_the_row_is_well(tmp_path: Path) -> None:
    found = looked_at(tmp_path, "np.tanh(x) * 2")
    assert (found.state, found.facts["rows"], found.facts["differing_rows"]) == ("ok", ROWS, 0)


@pytest.mark.parametrize("body", ["x - x.mean()", "x + np.random.normal(size=len(x))"])
def test_company_and_chance_are_problems(tmp_path: Path, body: str) -> None:
    found = looked_at(tmp_path, body)
    assert (found.state, found.code) == ("problem", 10)
    assert found.facts["differing_rows"] > ROWS / 2
    assert "make predict a function of the row alone" in found.to_do


def test_the_first_problem_gives_the_exit_code() -> None:
    failed = Finding.of_error("gate", CheckFailed("gate", partition="2024-01-01", failures=["x"], report="here"))
    well, odd = Finding("spec", "ok", ""), Finding("model", "warning", "")
    assert worst([well, odd]) == 0
    assert worst([well, odd, failed, Finding("mlflow", "problem", "", code=10)]) == 7


def test_a_model_that_raises_for_so_many_rows_is_a_problem_which_quotes_none(tmp_path: Path) -> None:
    found = looked_at(tmp_path, f"x * 2 if len(x) != {ROWS} else [][str(x[0])]")
    assert (found.state, worst([found])) == ("problem", PARITY_DIFFERS)
    assert f"raises TypeError when it is given {ROWS} rows at once" in found.text
