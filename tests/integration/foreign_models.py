"""Six models as other people have them, logged by plain MLflow without our code, and what their own predict says.

Run as a script in a folder of its own, `foreign_models.py TRACKING_URI [NAME...]`, it leaves there the table
`customers` of three days, and `expected/NAME.parquet`: what `mlflow.pyfunc` predicts for each row of the last day.
"""

import datetime as dt
import sys
import warnings
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature

DAYS = ("2024-05-01", "2024-05-02", "2024-05-03")
ROWS = 1_500
FEATURES = ["age", "income", "visits", "external"]
UTILS = "def clip(values, low, high):\n    return values.clip(low, high)\n"
NET = """\
from utils import clip


class Net:
    def __init__(self, weight):
        self.weight = weight

    def score(self, rows):
        return clip(rows["age"] * self.weight + rows["visits"] / 50, 0.0, 1.0)
"""
PYFUNC = """\
import mlflow
from models.net import Net


class Foreign(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        self.net = Net(0.01)

    def predict(self, context, model_input, params=None):
        return self.net.score(model_input).to_numpy()


mlflow.models.set_model(Foreign())
"""


def customers(seed: int) -> pd.DataFrame:
    """The customers of a day."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "customer_id": np.arange(ROWS, dtype=np.int64) + 100_000,
            "age": rng.integers(18, 90, ROWS).astype(np.float64),
            "income": rng.normal(40_000, 9_000, ROWS),
            "visits": rng.poisson(3, ROWS).astype(np.float64),
            "external": rng.random(ROWS),
            "country": rng.choice(["DE", "FR", "IT"], ROWS),
        }
    )


def _sklearn(inputs: pd.DataFrame, late: Any) -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(max_iter=40, random_state=0).fit(inputs, late.astype(int))
    signature = infer_signature(inputs, model.predict(inputs))
    mlflow.sklearn.log_model(
        model, name="model", signature=signature, serialization_format="cloudpickle", registered_model_name="histgb"
    )


def _xgboost(inputs: pd.DataFrame, late: Any) -> None:
    import xgboost

    model = xgboost.XGBRegressor(n_estimators=30, max_depth=4).fit(inputs, late.astype(float))
    signature = infer_signature(inputs, model.predict(inputs))
    mlflow.xgboost.log_model(model, name="model", signature=signature, registered_model_name="xgb")


def _lightgbm(inputs: pd.DataFrame, late: Any) -> None:
    import lightgbm

    model = lightgbm.LGBMRegressor(n_estimators=30, verbose=-1).fit(inputs, late.astype(float))
    signature = infer_signature(inputs, model.predict(inputs))
    mlflow.lightgbm.log_model(model, name="model", signature=signature, registered_model_name="lgbm")


def _torch_and_onnx(inputs: pd.DataFrame, _late: Any) -> None:
    import onnx
    import torch
    from onnx import TensorProto, helper

    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.ReLU(), torch.nn.Linear(16, 1), torch.nn.Sigmoid())
    matrix = (inputs.to_numpy(np.float32) / np.array([100, 1e5, 10, 1], np.float32)).astype(np.float32)
    with torch.no_grad():
        scores = net(torch.from_numpy(matrix)).numpy()
    # Networks take columns of their own here: the table has them as a list, `vector`.
    mlflow.pytorch.log_model(
        net,
        name="model",
        signature=infer_signature(matrix, scores),
        input_example=matrix[:8],
        registered_model_name="net",
    )
    weights = [helper.make_tensor("w", TensorProto.FLOAT, [4, 1], net[0].weight.detach().numpy()[0].tolist())]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["vector", "w"], ["linear"]), helper.make_node("Sigmoid", ["linear"], ["risk"])],
        "logistic",
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, ["rows", 4])],
        [helper.make_tensor_value_info("risk", TensorProto.FLOAT, ["rows", 1])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    example = {"vector": matrix}
    mlflow.onnx.log_model(
        model, name="model", signature=infer_signature(example, {"risk": scores}), registered_model_name="onnx"
    )


def _pyfunc(inputs: pd.DataFrame, _late: Any) -> None:
    code = Path("code")
    (code / "models").mkdir(parents=True)
    (code / "models" / "__init__.py").touch()
    (code / "models" / "net.py").write_text(NET)
    (code / "utils.py").write_text(UTILS)
    Path("foreign.py").write_text(PYFUNC)
    sys.path.insert(0, str(code))
    signature = infer_signature(inputs, np.zeros(len(inputs)))
    mlflow.pyfunc.log_model(
        name="model",
        python_model="foreign.py",
        code_paths=["code/models", "code/utils.py"],
        signature=signature,
        registered_model_name="own_code",
    )


# As their users log them; one logs both networks.
LOG = {
    "histgb": _sklearn,
    "xgb": _xgboost,
    "lgbm": _lightgbm,
    "net": _torch_and_onnx,
    "onnx": _torch_and_onnx,
    "own_code": _pyfunc,
}


def log_all(rows: pd.DataFrame, names: list[str]) -> None:
    """Log and register models."""
    inputs, late = rows[FEATURES], (rows["age"] > 50) ^ (rows["income"] > 45_000)
    for log in dict.fromkeys(LOG[name] for name in names):
        log(inputs, late)


def main() -> None:
    """Write the table, log the models, and note what their own predict says."""
    warnings.filterwarnings("ignore")
    mlflow.set_tracking_uri(sys.argv[1])
    mlflow.set_experiment("foreign")
    frames = {day: customers(dt.date.fromisoformat(day).toordinal()) for day in DAYS}
    for day, frame in frames.items():
        folder = Path("customers") / f"snapshot_date={day}"
        folder.mkdir(parents=True)
        matrix = (frame[FEATURES].to_numpy(np.float32) / np.array([100, 1e5, 10, 1], np.float32)).astype(np.float32)
        frame.assign(input=list(matrix), vector=list(matrix)).to_parquet(folder / "part-0.parquet", index=False)
    names = sys.argv[2:] or list(LOG)
    log_all(frames[DAYS[0]], names)
    client, last = mlflow.MlflowClient(), frames[DAYS[-1]]
    matrix = (last[FEATURES].to_numpy(np.float32) / np.array([100, 1e5, 10, 1], np.float32)).astype(np.float32)
    questions: dict[str, Any] = {"net": matrix, "onnx": {"vector": matrix}}
    Path("expected").mkdir()
    for name in names:
        client.set_registered_model_alias(name, "champion", "1")
        found = mlflow.pyfunc.load_model(f"models:/{name}/1").predict(questions.get(name, last[FEATURES]))
        values = found["risk"] if isinstance(found, dict) else found
        scores = np.asarray(values, dtype=np.float64).reshape(-1)
        pd.DataFrame({"customer_id": last["customer_id"], "score": scores}).to_parquet(f"expected/{name}.parquet")


if __name__ == "__main__":
    main()
