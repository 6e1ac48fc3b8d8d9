"""Log a trained model to MLflow as Lockstep scores it, and register it.

The result is a standard MLflow pyfunc model. What makes it fast and watched in Lockstep lies beside it as artifacts:
`network.pt2` (`torch.export`), `encoding.json` (how columns become its inputs), what else the backend reads (a text
model's `tokenizer.json`), and `baseline.json` (the training data profile that drift is measured against).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from lockstep.run.identity import canonical_digest, file_sha256
from lockstep.scoring.profile import Profile

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.models import ModelSignature

ARTIFACT_FORMAT = 1
BLOCK_ROWS = 64
TRAINING_KEY_TAG = "lockstep.training_key"
SQLITE = "sqlite:///"


class Interface(Protocol):
    """What a model reads and writes."""

    def encoding(self) -> dict[str, Any]:
        """Return the content of `encoding.json`, which the model's backend reads."""

    def signature(self) -> "ModelSignature":
        """Return the MLflow signature."""


@dataclass(frozen=True)
class Columns:
    """What a model of the `torch` backend reads and writes.

    Attributes:
        categorical: String columns and their known values, in order; a value's code is 1 + its place.
        numeric: Number columns, in order.
        output: The score column.
    """

    categorical: Mapping[str, Sequence[str]]
    numeric: Sequence[str]
    output: str

    def encoding(self) -> dict[str, Any]:
        """Return the content of `encoding.json`."""
        categorical = [{"name": name, "values": list(values)} for name, values in self.categorical.items()]
        return {"categorical": categorical, "numeric": list(self.numeric), "output": self.output}

    def signature(self) -> "ModelSignature":
        """Return the MLflow signature: every column required, strings first."""
        from mlflow.models import ModelSignature
        from mlflow.types import ColSpec, DataType, Schema, TensorSpec

        inputs: list[ColSpec | TensorSpec] = [ColSpec(DataType.string, name) for name in self.categorical]
        inputs += [ColSpec(DataType.double, name) for name in self.numeric]
        return ModelSignature(Schema(inputs), Schema([ColSpec(DataType.double, self.output)]))


@dataclass(frozen=True)
class TextColumn:
    """What a model of the `text` backend reads and writes: a text, a vector.

    Attributes:
        input: The string column.
        output: The column of `(width,) float32` vectors.
        lengths: Lengths in tokens that texts are padded to, ascending; longer texts are cut to the last.
        pad_id: Token id of padding.
    """

    input: str
    output: str
    width: int
    lengths: Sequence[int]
    pad_id: int

    def encoding(self) -> dict[str, Any]:
        """Return the content of `encoding.json`."""
        return {**vars(self), "lengths": list(self.lengths)}

    def signature(self) -> "ModelSignature":
        """Return the MLflow signature: a required string, a tensor."""
        import numpy as np
        from mlflow.models import ModelSignature
        from mlflow.types import ColSpec, DataType, Schema, TensorSpec

        output = TensorSpec(np.dtype(np.float32), (-1, self.width), self.output)
        return ModelSignature(Schema([ColSpec(DataType.string, self.input)]), Schema([output]))


@dataclass(frozen=True)
class TrainedModel:
    """A trained model, ready to be logged.

    Attributes:
        code: Script for MLflow's models from code.
        network: The `torch.export` program; its file name is kept.
        columns: Inputs and output.
        baseline: Profile of the training data and of the scores on it; none where drift is not measured.
        example: At least two real input rows, as a data frame.
        requirements: What a client must install.
        params: Training parameters.
        metrics: Flat name to figure.
        tags: Further facts for run and version.
        backend: Name of the Lockstep backend.
        block_rows: Rows of one forward pass; fewer are padded, so that a lone request costs as much.
        files: Further artifacts by name.
    """

    code: Path
    network: Path
    columns: Interface
    baseline: Profile | None
    example: "pd.DataFrame"
    requirements: Sequence[str]
    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    tags: Mapping[str, str] = field(default_factory=dict)
    backend: str = "torch"
    block_rows: int = BLOCK_ROWS
    files: Mapping[str, Path] = field(default_factory=dict)


def training_key(*, data: Sequence[str], code: Sequence[Path], params: Mapping[str, Any]) -> str:
    """Hash what decides a trained model.

    Args:
        data: Digests of the content of the training data.
        code: Scripts and modules that the result depends on.
        params: Parameters and versions.
    """
    content = {
        "data": list(data),
        "code": {path.name: file_sha256(path) for path in code},
        "params": dict(params),
    }
    return canonical_digest(content)


def connect(tracking_uri: str, experiment: str) -> "MlflowClient":
    """Select the store and the experiment, making both if need be.

    A SQLite store keeps its artifacts in the folder `artifacts` beside the database file.
    """
    import mlflow

    artifact_location = None
    if tracking_uri.startswith(SQLITE):
        root = Path(tracking_uri.removeprefix(SQLITE)).absolute().parent
        root.mkdir(parents=True, exist_ok=True)
        artifact_location = (root / "artifacts" / experiment).as_uri()
    mlflow.set_tracking_uri(tracking_uri)
    mlflow.set_registry_uri(tracking_uri)
    client = mlflow.MlflowClient()
    if client.get_experiment_by_name(experiment) is None:
        client.create_experiment(experiment, artifact_location=artifact_location)
    mlflow.set_experiment(experiment)
    return client


def find_version(client: "MlflowClient", name: str, *, key: str) -> "ModelVersion | None":
    """Return the newest version of a registered model that was trained from `key`, if there is one."""
    versions = client.search_model_versions(f"name = '{name}'")
    same = [version for version in versions if version.tags.get(TRAINING_KEY_TAG) == key]
    return max(same, key=lambda version: int(version.version), default=None)


def ensure_alias(client: "MlflowClient", version: "ModelVersion", *, alias: str) -> bool:
    """Point the alias at the version unless it already points somewhere; return whether it was set."""
    if alias in client.get_registered_model(version.name).aliases:
        return False
    client.set_registered_model_alias(version.name, alias, version.version)
    return True


def log_and_register(
    client: "MlflowClient", model: TrainedModel, *, name: str, alias: str, key: str, scratch: Path
) -> "ModelVersion":
    """Log the model in a run of its own, register it and point the alias at it.

    Args:
        client: From `connect`.
        model: What to log.
        name: Registered model name.
        alias: Alias that will point at the new version.
        key: `training_key`; stored on the version, so that the same training is found again.
        scratch: Folder for the files before they are logged.

    Returns:
        The new version.
    """
    import mlflow

    tags = {TRAINING_KEY_TAG: key, **model.tags}
    with mlflow.start_run(run_name=name) as run:
        mlflow.set_tags(tags)
        mlflow.log_params(dict(model.params))
        mlflow.log_metrics(dict(model.metrics))
        info = mlflow.pyfunc.log_model(
            name=name,
            python_model=str(model.code),
            artifacts=_write_artifacts(model, scratch),
            signature=model.columns.signature(),
            input_example=model.example,
            pip_requirements=list(model.requirements),
            metadata={
                "lockstep": {"format": ARTIFACT_FORMAT, "backend": model.backend, "block_rows": model.block_rows}
            },
        )
        figures = {f"metric.{metric}": f"{value:.6f}" for metric, value in model.metrics.items()}
        version = mlflow.register_model(info.model_uri, name, tags={**tags, **figures, "run_id": run.info.run_id})
    client.set_registered_model_alias(name, alias, version.version)
    return version


def _write_artifacts(model: TrainedModel, scratch: Path) -> dict[str, str]:
    """Write what is not a file yet; return all artifacts by name."""
    artifacts = {"network": model.network, **model.files, "encoding": scratch / "encoding.json"}
    _write_json(artifacts["encoding"], model.columns.encoding())
    if model.baseline is not None:
        artifacts["baseline"] = scratch / "baseline.json"
        _write_json(artifacts["baseline"], model.baseline.to_json())
    return {name: str(path) for name, path in artifacts.items()}


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
