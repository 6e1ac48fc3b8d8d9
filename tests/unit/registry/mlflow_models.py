"""Tiny trained models, saved by MLflow's own flavors, and how their scores are compared with MLflow's."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import onnx
import pandas as pd
import pyarrow as pa
import torch
from onnx import TensorProto, helper, numpy_helper

from lockstep.registry.loading import load_scorer
from lockstep.scoring.backends import Execution
from lockstep.scoring.blocks import BlockSizes
from lockstep.scoring.scorer import ScoredBatch, Scorer

FEATURES = ("a", "b", "c", "d", "e", "f")
CPU = Execution(device="cpu")


@contextmanager
def quiet() -> Iterator[None]:
    """MLflow comments on what it saves."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def features(rows: int, *, seed: int = 0) -> pd.DataFrame:
    """Rows of six numbers."""
    values = np.random.default_rng(seed).normal(size=(rows, len(FEATURES)))
    return pd.DataFrame(values, columns=list(FEATURES))


def labels(frame: pd.DataFrame) -> np.ndarray:
    """What is learnt: two curved outputs."""
    values = frame.to_numpy()
    return np.stack([np.sin(values[:, 0]) + values[:, 1], values[:, 2] * values[:, 3]], axis=1).astype(np.float32)


class Network(torch.nn.Module):
    """Two dense layers."""

    def __init__(self, *, outputs: int = 2, width: int = 48, inputs: int = len(FEATURES)) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(inputs, width), torch.nn.ReLU(), torch.nn.Linear(width, outputs)
        )

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        """Score `(rows, 6)`."""
        return self.layers(given)


def trained(*, outputs: int = 2, width: int = 48) -> Network:
    """A network after a hundred steps."""
    torch.manual_seed(3)
    frame = features(512)
    network = Network(outputs=outputs, width=width)
    given, wanted = torch.from_numpy(frame.to_numpy(np.float32)), torch.from_numpy(labels(frame))[:, :outputs]
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    for _ in range(100):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(network(given), wanted).backward()
        optimizer.step()
    return network.eval()


def graph(network: Network, *, outputs: str = "one", rows: int | str = "rows") -> onnx.ModelProto:
    """The same network as an ONNX graph: one output matrix, or (`both`) values and a label."""
    first, second = network.layers[0], network.layers[2]
    constants = {"w1": first.weight, "b1": first.bias, "w2": second.weight, "b2": second.bias}
    nodes = [
        helper.make_node("Gemm", ["x", "w1", "b1"], ["hidden"], transB=1),
        helper.make_node("Relu", ["hidden"], ["active"]),
        helper.make_node("Gemm", ["active", "w2", "b2"], ["values"], transB=1),
    ]
    results = [helper.make_tensor_value_info("values", TensorProto.FLOAT, [rows, second.out_features])]
    if outputs == "both":
        nodes.append(helper.make_node("ArgMax", ["values"], ["label"], axis=1, keepdims=0))
        results.append(helper.make_tensor_value_info("label", TensorProto.INT64, [rows]))
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, first.in_features])]
    weights = [numpy_helper.from_array(value.detach().numpy(), name) for name, value in constants.items()]
    return checked(helper.make_graph(nodes, "network", inputs, results, weights))


def graph_of_columns() -> onnx.ModelProto:
    """A graph with an input for each of three columns: a double (cast to float), a whole number, a text."""
    nodes = [
        helper.make_node("Cast", ["count"], ["count_f"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["size", "count_f"], ["total"]),
        helper.make_node("Identity", ["name"], ["label"]),
    ]
    inputs = [
        helper.make_tensor_value_info("size", TensorProto.FLOAT, ["rows"]),
        helper.make_tensor_value_info("count", TensorProto.INT64, ["rows"]),
        helper.make_tensor_value_info("name", TensorProto.STRING, ["rows"]),
    ]
    results = [
        helper.make_tensor_value_info("total", TensorProto.FLOAT, ["rows"]),
        helper.make_tensor_value_info("label", TensorProto.STRING, ["rows"]),
    ]
    return checked(helper.make_graph(nodes, "columns", inputs, results))


def checked(content: onnx.GraphProto) -> onnx.ModelProto:
    """A whole model of a graph."""
    model = helper.make_model(content, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.checker.check_model(model)
    return model


def scorer_at(path: Path, *, execution: Execution = CPU) -> Scorer:
    """The Scorer of a saved model."""
    with quiet():
        return load_scorer(path, execution=execution)


def mlflow_predict(path: Path, question: Any) -> Any:
    """What MLflow's own pyfunc says."""
    with quiet():
        return mlflow.pyfunc.load_model(str(path)).predict(question)


def tensor_batch(values: np.ndarray, name: str = "input") -> pa.RecordBatch:
    """A tensor as Lockstep reads it: a fixed-size list for each row."""
    flat = pa.array(values.reshape(-1))
    return pa.RecordBatch.from_arrays([pa.FixedSizeListArray.from_arrays(flat, values[0].size)], names=[name])


def assert_bits_hold(path: Path, make: Callable[[int], pa.RecordBatch], *, execution: Execution = CPU) -> None:
    """Score 65,536 rows and parts of them, in base blocks and in searched ones; every bit must be the same."""
    base = scorer_at(path, execution=execution)
    rows = base.block_rows
    whole = make(65_536)
    expected = base.score(whole)
    assert not expected.reasons
    backend = base._backend
    store = path.parent / f"{path.name}-{execution.precision}-blocks.json"
    searched = Scorer(backend, base.signature, block_rows=rows, blocks=BlockSizes(rows, store=store, search=True))
    assert_same(searched.score(whole), expected)
    assert store.is_file()
    for count in (1, 5 * rows - 1, 5 * rows, 5 * rows + 1):
        part = whole.slice(1000, count)
        for scorer in (base, searched):
            assert_same(scorer.score(part), _part(expected, 1000, count))


def assert_same(got: ScoredBatch, expected: ScoredBatch) -> None:
    """Compare all outputs in every bit."""
    assert not got.reasons
    for one, other in zip(got.outputs, expected.outputs, strict=True):
        assert one.dtype == other.dtype
        assert one.tolist() == other.tolist() if one.dtype.hasobject else one.tobytes() == other.tobytes()


def _part(scored: ScoredBatch, start: int, count: int) -> ScoredBatch:
    return ScoredBatch(tuple(array[start : start + count] for array in scored.outputs))


def save_sklearn(path: Path, model: Any, *, signature: Any, method: str = "predict") -> Path:
    """Save an estimator as `mlflow.sklearn` does for a user."""
    with quiet():
        mlflow.sklearn.save_model(
            model,
            str(path),
            signature=signature,
            pyfunc_predict_fn=method,
            pip_requirements=["scikit-learn"],
            serialization_format="cloudpickle",
        )
    return path
