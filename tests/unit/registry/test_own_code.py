"""Two models that bring modules of the same names along each compute with their own."""

import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from lockstep.registry.loading import load_scorer
from lockstep.scoring.scorer import Scorer

UTILS = "FACTOR = {factor}\n"
PACKAGE = "from utils import FACTOR\n\n\ndef scaled(values):\n    return values * FACTOR\n"
LAZY = "def offset():\n    from models.lazy import OFFSET\n\n    return OFFSET\n"
MODEL = """\
import mlflow
from models import scaled
from models.later import offset


class Foreign(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return scaled(model_input["x"].to_numpy()) + offset()


mlflow.models.set_model(Foreign())
"""


def logged(folder: Path, *, factor: float, offset: float) -> Path:
    """Save a pyfunc which ships `code/models` and `code/utils.py`."""
    import mlflow.pyfunc
    from mlflow.models import infer_signature

    code = folder / "source"
    (code / "models").mkdir(parents=True)
    (code / "models" / "__init__.py").write_text(PACKAGE)
    (code / "models" / "later.py").write_text(LAZY)
    (code / "models" / "lazy.py").write_text(f"OFFSET = {offset}\n")
    (code / "utils.py").write_text(UTILS.format(factor=factor))
    (folder / "model.py").write_text(MODEL)
    rows = pd.DataFrame({"x": [1.0, 2.0]})
    before = set(sys.modules)
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patched:
        warnings.simplefilter("ignore")
        patched.syspath_prepend(str(code))
        mlflow.pyfunc.save_model(
            str(folder / "saved"),
            python_model=str(folder / "model.py"),
            code_paths=[str(code / "models"), str(code / "utils.py")],
            signature=infer_signature(rows, np.array([1.0, 2.0])),
            pip_requirements=["mlflow"],
        )
    for name in set(sys.modules) - before:  # as if somebody else had logged it
        if name.partition(".")[0] in {"models", "utils"}:
            del sys.modules[name]
    return folder / "saved"


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    home = tmp_path_factory.mktemp("versions")
    return logged(home / "one", factor=2.0, offset=0.5), logged(home / "two", factor=3.0, offset=0.25)


def scores(scorer: Scorer, *values: float) -> list[float]:
    return [float(score) for score in scorer.score(pa.RecordBatch.from_pydict({"x": list(values)})).values]


def test_each_version_has_its_own_modules_also_lazily(versions: tuple[Path, Path]) -> None:
    one, two = (load_scorer(path) for path in versions)
    for _ in range(3):
        assert scores(one, 1.0, 10.0) == [2.5, 20.5]
        assert scores(two, 1.0, 10.0) == [3.25, 30.25]
    again = load_scorer(versions[0])
    assert (scores(again, 1.0), scores(two, 1.0), scores(one, 1.0)) == ([2.5], [3.25], [2.5])


def test_threads_do_not_mix_them_up(versions: tuple[Path, Path]) -> None:
    loaded = [load_scorer(path) for path in versions]
    expected = [[2.5], [3.25]]
    wrong: list[Any] = []

    def ask(place: int) -> None:
        for _ in range(100):
            found = scores(loaded[place], 1.0)
            if found != expected[place]:
                wrong.append(found)

    threads = [threading.Thread(target=ask, args=(place,)) for place in (0, 1) * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
