"""Log a trained model to MLflow as Lockstep scores it, and register it.

The result is a standard MLflow pyfunc model. What makes it fast and watched in Lockstep lies beside it as artifacts:
`network.pt2` (`torch.export`), `encoding.json` (how columns become its inputs) and `baseline.json` (the training data
profile that drift is measured against).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

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


@dataclass(frozen=True)
class Columns:
    """What the model reads and writes.

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
class TrainedModel:
    """A trained model, ready to be logged.

    Attributes:
        code: Script for MLflow's models from code.
        network: The `torch.export` program; its file name is kept.
        columns: Inputs and output.
        baseline: Profile of the training data and of the scores on it.
        example: At least two real input rows, as a data frame.
        requirements: What a client must install.
        params: Training parameters.
        metrics: Flat name to figure.
        tags: Further facts for run and version.
    """

    code: Path
    network: Path
    columns: Columns
    baseline: Profile
    example: "pd.DataFrame"
    requirements: Sequence[str]
    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    tags: Mapping[str, str] = field(default_factory=dict)


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
            metadata={"lockstep": {"format": ARTIFACT_FORMAT, "backend": "torch", "block_rows": BLOCK_ROWS}},
        )
        figures = {f"metric.{metric}": f"{value:.6f}" for metric, value in model.metrics.items()}
        version = mlflow.register_model(info.model_uri, name, tags={**tags, **figures, "run_id": run.info.run_id})
    client.set_registered_model_alias(name, alias, version.version)
    return version


def _write_artifacts(model: TrainedModel, scratch: Path) -> dict[str, str]:
    encoding, baseline = scratch / "encoding.json", scratch / "baseline.json"
    encoding.write_text(json.dumps(model.columns.encoding(), indent=1) + "\n", encoding="utf-8")
    baseline.write_text(json.dumps(model.baseline.to_json(), indent=1) + "\n", encoding="utf-8")
    return {"network": str(model.network), "encoding": str(encoding), "baseline": str(baseline)}
