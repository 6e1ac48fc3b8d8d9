"""Models of the same flights, one for each backend, trained in seconds: torch, ONNX, trees of scikit-learn."""

import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import nn

from benchmarks.job import ROOT
from benchmarks.promises.flights import LATE, NUMBERS, TEXTS, draw_flights
from lockstep.registry.packaging import Columns, TrainedModel, connect, log_and_register
from lockstep.scoring.profile import build_baseline

if TYPE_CHECKING:
    import onnx
    from mlflow import MlflowClient

SCORE = "score"
ALIAS = "champion"
TRAINING_ROWS, STEPS, HIDDEN = 8_192, 60, 64
SEED = 2013
Floats = npt.NDArray[np.float32]


class Network(nn.Module):
    """Embeddings of the texts and standardised numbers through two layers; what is missing counts as the mean."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, sizes: list[int], numbers: Floats) -> None:
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(np.nanmean(numbers, axis=0)))
        self.register_buffer("std", torch.from_numpy(np.nanstd(numbers, axis=0) + np.float32(1e-3)))
        self.embeddings = nn.ModuleList(nn.Embedding(size + 1, 4) for size in sizes)
        width = 4 * len(sizes) + numbers.shape[1]
        self.layers = nn.Sequential(
            nn.Linear(width, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1)
        )

    def forward(self, codes: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        """Score: `(rows, texts) int64` and `(rows, numbers) float32` to `(rows,) float32`."""
        known = torch.where(torch.isnan(numbers), self.mean, numbers)
        parts = [embedding(codes[:, place]) for place, embedding in enumerate(self.embeddings)]
        return torch.sigmoid(self.layers(torch.cat([*parts, (known - self.mean) / self.std], dim=1))[:, 0])


def register(backend: str, home: Path) -> str:
    """Train and register the model of a backend in the MLflow store of a folder.

    Args:
        backend: Name in `MODELS`.
        home: `LOCKSTEP_HOME` of an installation of its own.

    Returns:
        The registered name.
    """
    name = f"flights_{backend}"
    scratch = home / "scratch" / backend
    scratch.mkdir(parents=True)
    torch.set_num_threads(1)
    os.environ |= {"MLFLOW_LOGGING_LEVEL": "ERROR", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client = connect(f"sqlite:///{home}/mlflow/mlflow.db", "promises")
        MODELS[backend](client, name, table=draw_flights(TRAINING_ROWS, seed=SEED), scratch=scratch)
    return name


def _numbers(table: pa.Table) -> Floats:
    return np.stack([table[name].to_numpy().astype(np.float32) for name in NUMBERS], axis=1)


def _trained(codes: torch.Tensor, numbers: torch.Tensor, late: torch.Tensor, *, sizes: list[int]) -> Network:
    torch.manual_seed(SEED)
    network = Network(sizes, numbers.numpy())
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(STEPS):
        optimizer.zero_grad()
        nn.functional.binary_cross_entropy(network(codes, numbers), late).backward()
        optimizer.step()
    return network.eval()


def _torch(client: "MlflowClient", name: str, *, table: pa.Table, scratch: Path) -> None:
    values = {text: sorted(set(table[text].to_pylist())) for text in TEXTS}
    places = {text: {value: 1 + place for place, value in enumerate(known)} for text, known in values.items()}
    codes = torch.tensor([[places[text][value] for value in table[text].to_pylist()] for text in TEXTS]).T.contiguous()
    numbers, late = torch.from_numpy(_numbers(table)), torch.from_numpy(table[LATE].to_numpy().astype(np.float32))
    network = _trained(codes, numbers, late, sizes=[len(known) for known in values.values()])
    rows = torch.export.Dim("rows", min=1, max=1 << 20)
    program = torch.export.export(network, (codes[:8], numbers[:8]), dynamic_shapes=({0: rows}, {0: rows}))
    torch.export.save(program, scratch / "network.pt2")
    with torch.inference_mode():
        scores = network(codes, numbers).numpy().astype(np.float64)
    profiled = {column: table[column].combine_chunks() for column in (*TEXTS, *NUMBERS)}
    model = TrainedModel(
        code=ROOT / "models" / "flight_delay" / "pyfunc_model.py",
        network=scratch / "network.pt2",
        columns=Columns(values, NUMBERS, SCORE),
        baseline=build_baseline({**profiled, SCORE: pa.array(scores)}),
        example=table.select([*TEXTS, *NUMBERS]).slice(0, 500).to_pandas().dropna().head(5),
        requirements=["torch"],
        params={},
        metrics={},
    )
    log_and_register(client, model, name=name, alias=ALIAS, key=name, scratch=scratch)


def _onnx(client: "MlflowClient", name: str, *, table: pa.Table, scratch: Path) -> None:  # noqa: ARG001 - as the others
    import mlflow

    numbers, late = torch.from_numpy(_numbers(table)), torch.from_numpy(table[LATE].to_numpy().astype(np.float32))
    network = _trained(torch.zeros(len(late), 0, dtype=torch.int64), numbers, late, sizes=[])
    with mlflow.start_run():
        mlflow.onnx.log_model(_graph(network), name=name, registered_model_name=name, **_described(table))
    client.set_registered_model_alias(name, ALIAS, "1")


def _graph(network: Network) -> "onnx.ModelProto":
    """The network over numbers alone, as an ONNX graph with one matrix as input."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    constants = {"mean": network.mean, "std": network.std}
    nodes = [
        helper.make_node("IsNaN", ["x"], ["missing"]),
        helper.make_node("Where", ["missing", "mean", "x"], ["known"]),
        helper.make_node("Sub", ["known", "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "std"], ["h0"]),
    ]
    for place, layer in enumerate((network.layers[0], network.layers[2], network.layers[4])):
        constants |= {f"w{place}": layer.weight, f"b{place}": layer.bias}
        nodes.append(helper.make_node("Gemm", [f"h{place}", f"w{place}", f"b{place}"], [f"z{place}"], transB=1))
        kind, given = ("Sigmoid", SCORE) if place == 2 else ("Relu", f"h{place + 1}")
        nodes.append(helper.make_node(kind, [f"z{place}"], [given]))
    graph = helper.make_graph(
        nodes,
        "flights",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", len(NUMBERS)])],
        [helper.make_tensor_value_info(SCORE, TensorProto.FLOAT, ["rows", 1])],
        [numpy_helper.from_array(value.detach().numpy(), key) for key, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.checker.check_model(model)
    return model


def _trees(client: "MlflowClient", name: str, *, table: pa.Table, scratch: Path) -> None:  # noqa: ARG001 - as the others
    import mlflow
    from sklearn.ensemble import HistGradientBoostingRegressor

    estimator = HistGradientBoostingRegressor(max_iter=60, early_stopping=False, random_state=SEED)
    estimator.fit(table.select(NUMBERS).to_pandas(), table[LATE].to_numpy())
    with mlflow.start_run():
        mlflow.sklearn.log_model(
            estimator,
            name=name,
            registered_model_name=name,
            serialization_format="cloudpickle",
            pip_requirements=["scikit-learn"],
            **_described(table),
        )
    client.set_registered_model_alias(name, ALIAS, "1")


def _described(table: pa.Table) -> dict[str, Any]:
    """Signature and example of a model over the numbers."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    inputs = Schema([ColSpec("double", number) for number in NUMBERS])
    signature = ModelSignature(inputs, Schema([ColSpec("double", SCORE)]))
    return {"signature": signature, "input_example": table.select(NUMBERS).slice(0, 500).to_pandas().dropna().head(5)}


# Backend -> what trains and registers its model; `pyfunc` is what `mlflow.sklearn.log_model` makes, untouched.
MODELS: Mapping[str, Callable[..., None]] = {
    "torch": _torch,
    "onnx": _onnx,
    "pyfunc": _trees,
}
INPUTS: Mapping[str, tuple[str, ...]] = {"torch": (*TEXTS, *NUMBERS), "onnx": NUMBERS, "pyfunc": NUMBERS}
