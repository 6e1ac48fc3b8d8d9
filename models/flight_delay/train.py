"""Train `flight_delay`, compare it with two baselines, log it to MLflow and register it.

    .venv/training/bin/python models/flight_delay/train.py --training-set var/training/flight_delay

A second run with the same data, code and parameters registers nothing and says so.

Exit codes: those of `lockstep/run/exit_codes.py`; errors are one message on standard error.
"""

import argparse
import copy
import json
import os
import sys
import tempfile
import time
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lockstep.errors import InputError, LockstepError
from lockstep.registry import packaging
from lockstep.run.exit_codes import OK, exit_code
from lockstep.scoring import profile
from lockstep.specs.settings import TELEMETRY_OFF, Settings

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import torch
    from feeding import Rows, TrainingSet
    from network import FlightDelayNet

FOLDER = Path(__file__).parent
CODE = ("train.py", "network.py", "feeding.py", "evaluation.py", "pyfunc_model.py")
REQUIREMENTS = ("mlflow==3.17.2", "torch==2.13.0", "numpy>=1.26", "pandas>=2.2,<3")
EXAMPLE_ROWS, MIN_EXAMPLE_ROWS = 5, 2
UNKNOWN_FRACTION = 0.01  # of codes hidden in training, so that the code for "unknown" learns to mean something


@dataclass(frozen=True)
class Params:
    """What decides the training, besides data and code."""

    seed: int = 2013
    epochs: int = 20
    patience_epochs: int = 3
    batch_rows: int = 1024
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    dropout: float = 0.2
    hidden: tuple[int, ...] = (128, 64)


def fit(data: "TrainingSet", train: "Rows", valid: "Rows", *, params: Params) -> "FlightDelayNet":
    """Train with early stopping on the validation log loss; return the best network, in evaluation mode."""
    import torch
    from network import FlightDelayNet, moments

    torch.manual_seed(params.seed)
    mean, std = moments(train.numbers.astype("float32"))
    sizes = [len(values) for values in data.vocabulary.values()]
    network = FlightDelayNet(sizes, mean, std=std, hidden=params.hidden, dropout=params.dropout)
    optimizer = torch.optim.AdamW(network.parameters(), lr=params.learning_rate, weight_decay=params.weight_decay)
    best_loss, best_epoch, best_state = float("inf"), 0, copy.deepcopy(network.state_dict())
    for number in range(1, params.epochs + 1):
        began = time.monotonic()
        train_loss = run_epoch(network, data, optimizer, params=params, number=number)
        valid_loss = validation_loss(network, valid)
        seconds = time.monotonic() - began
        print(
            f"  epoch {number:2}: training loss {train_loss:.4f}, validation {valid_loss:.4f}, {seconds:.1f} s",
            flush=True,
        )
        if valid_loss < best_loss:
            best_loss, best_epoch, best_state = valid_loss, number, copy.deepcopy(network.state_dict())
        elif number - best_epoch >= params.patience_epochs:
            break
    network.load_state_dict(best_state)
    print(f"  best epoch: {best_epoch}")
    return network.eval()


def run_epoch(
    network: "FlightDelayNet", data: "TrainingSet", optimizer: "torch.optim.Optimizer", *, params: Params, number: int
) -> float:
    """Run one epoch of batches from Petastorm; return the mean loss."""
    import torch
    from feeding import epoch

    network.train()
    total, rows = 0.0, 0
    for codes, numbers, labels in epoch(data, "train", batch_rows=params.batch_rows, seed=params.seed + number):
        hidden = codes.masked_fill(torch.rand(codes.shape) < UNKNOWN_FRACTION, 0)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(network.logits(hidden, numbers), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total, rows = total + loss.item() * len(labels), rows + len(labels)
    return total / rows


def validation_loss(network: "FlightDelayNet", valid: "Rows") -> float:
    """Return the log loss on the validation rows."""
    import torch

    network.eval()
    with torch.inference_mode():
        labels = torch.from_numpy(valid.labels).float()
        return torch.nn.functional.binary_cross_entropy_with_logits(network.logits(*valid.tensors()), labels).item()


def predict(network: "FlightDelayNet", rows: "Rows") -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """Return `(rows,) float64` probabilities."""
    import torch

    with torch.inference_mode():
        return network(*rows.tensors()).numpy().astype("float64")


def evaluate(data: "TrainingSet", train: "Rows", valid: "Rows", *, network: "FlightDelayNet") -> dict[str, float]:
    """Compare the network with the baselines on the validation days; print the table, return flat metrics."""
    import evaluation

    sizes = [len(values) for values in data.vocabulary.values()]
    predictions = {
        "model": predict(network, valid),
        "logistic_regression": evaluation.logistic_regression(train, valid, vocabulary_sizes=sizes),
        "base_rate": evaluation.base_rate(train, valid),
    }
    results = {name: evaluation.metrics(valid.labels, values) for name, values in predictions.items()}
    print(evaluation.table(results), flush=True)
    flat = {f"valid_{metric}": value for metric, value in results["model"].items()}
    for name in ("logistic_regression", "base_rate"):
        flat |= {f"{name}_valid_{metric}": value for metric, value in results[name].items()}
    return flat


def frame(data: "TrainingSet", rows: "Rows") -> "pd.DataFrame":
    """Return rows as the model's input: strings instead of codes, then the numbers."""
    import pandas as pd

    columns: dict[str, object] = {}
    for place, (name, values) in enumerate(data.vocabulary.items()):
        columns[name] = pd.array([None, *values], dtype=object)[rows.codes[:, place]]
    for place, name in enumerate(data.numeric):
        columns[name] = rows.numbers[:, place]
    return pd.DataFrame(columns)


def example(data: "TrainingSet", rows: "Rows") -> "pd.DataFrame":
    """Return a few real input rows without missing values: as JSON they are valid for every client."""
    whole = frame(data, rows).dropna().head(EXAMPLE_ROWS).reset_index(drop=True)
    if len(whole) < MIN_EXAMPLE_ROWS:
        raise InputError(f"the validation split has fewer than {MIN_EXAMPLE_ROWS} rows without missing values")
    return whole


def package(
    data: "TrainingSet", network: "FlightDelayNet", *, train: "Rows", valid: "Rows", params: Params, scratch: Path
) -> packaging.TrainedModel:
    """Evaluate, export and profile the network."""
    import pyarrow as pa
    from network import export

    metrics = evaluate(data, train, valid, network=network)
    codes, numbers = valid.tensors()
    export(network, scratch / "network.pt2", codes=codes[:EXAMPLE_ROWS], numbers=numbers[:EXAMPLE_ROWS])
    profiled = {name: pa.array(column, from_pandas=True) for name, column in frame(data, train).items()}
    profiled[data.meta["output"]] = pa.array(predict(network, train))
    return packaging.TrainedModel(
        code=FOLDER / "pyfunc_model.py",
        network=scratch / "network.pt2",
        columns=packaging.Columns(data.vocabulary, data.numeric, data.meta["output"]),
        baseline=profile.build_baseline(profiled),
        example=example(data, valid),
        requirements=REQUIREMENTS,
        params={**asdict(params), "train_rows": len(train.labels), "valid_rows": len(valid.labels)},
        metrics=metrics,
        tags={"lockstep.splits": json.dumps(data.meta["splits"])},
    )


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description="Train and register flight_delay.")
    parser.add_argument("--training-set", type=Path, required=True, help="folder of jobs/build_training_set.py")
    parser.add_argument("--tracking-uri", help="MLflow store (default: MLFLOW_TRACKING_URI, else var/mlflow)")
    parser.add_argument("--name", help="registered model name (default: that of the spec)")
    parser.add_argument("--alias", default="champion", help="alias for the new version (default: champion)")
    parser.add_argument("--epochs", type=int, default=Params.epochs, help="most epochs")
    parser.add_argument("--seed", type=int, default=Params.seed)
    parser.add_argument("--force", action="store_true", help="train and register even when nothing changed")
    return parser.parse_args()


def train_and_register(arguments: argparse.Namespace, *, tracking_uri: str) -> str:
    """Train unless the same training is registered; return what to tell."""
    import torch
    from feeding import TrainingSet, read_rows

    folder = arguments.training_set.absolute()
    if not (folder / "training_set.json").is_file():
        raise InputError(f"there is no training set in {folder}; build the training set first (`make train` does)")
    data = TrainingSet.open(folder)
    params = Params(seed=arguments.seed, epochs=arguments.epochs)
    train, valid = read_rows(data, "train"), read_rows(data, "valid")
    key = packaging.training_key(
        data=[train.digest(), valid.digest()],
        code=[*(FOLDER / name for name in CODE), Path(packaging.__file__), Path(profile.__file__)],
        params={**asdict(params), "torch": torch.__version__, "vocabulary": data.vocabulary},
    )
    name = arguments.name or data.meta["model"]
    client = packaging.connect(tracking_uri, name)
    known = None if arguments.force else packaging.find_version(client, name, key=key)
    if known is not None:
        packaging.ensure_alias(client, known, alias=arguments.alias)
        return (
            f"nothing registered: version {known.version} of {name} was trained from the same data, code and parameters"
        )
    torch.set_num_threads(1)  # the sum over threads depends on their number, and the network is small
    torch.use_deterministic_algorithms(True)
    print(f"training {name}: {len(train.labels):,} rows, validation {len(valid.labels):,} rows", flush=True)
    network = fit(data, train, valid, params=params)
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        model = package(data, network, train=train, valid=valid, params=params, scratch=scratch)
        version = packaging.log_and_register(client, model, name=name, alias=arguments.alias, key=key, scratch=scratch)
    return f"registered {name} version {version.version}, alias {arguments.alias}, in {tracking_uri}"


def main() -> int:
    """Train, register and say what was done."""
    arguments = parse_arguments()
    os.environ.update(TELEMETRY_OFF)
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    began = time.monotonic()
    try:
        uri = arguments.tracking_uri or Settings.from_env(os.environ).tracking_uri
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="petastorm")
            print(train_and_register(arguments, tracking_uri=uri))
    except LockstepError as error:
        print(f"error: {error}", file=sys.stderr)
        return exit_code(error)
    print(f"done in {time.monotonic() - began:.0f} s")
    return OK


if __name__ == "__main__":
    sys.exit(main())
