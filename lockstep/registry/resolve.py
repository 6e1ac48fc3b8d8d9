"""Alias to version to digest, once per run, against the MLflow registry."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse

from lockstep.errors import ArtifactInvalid, LockstepError, ModelNotFound, RegistryUnavailable, SettingsError
from lockstep.registry.artifact import artifact_digest, read_artifact
from lockstep.registry.cache import fetch_unknown
from lockstep.registry.sources import local_folder, public_location
from lockstep.run.plan import ModelIdentity
from lockstep.specs.secrets import without_secrets
from lockstep.specs.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

NOT_FOUND_CODES = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "NOT_FOUND"}
REGISTRIES = "the URI of an MLflow registry, such as http://HOST:5000, sqlite:////PATH/mlflow.db or databricks"
# No message lists more.
MOST_MODELS = 50
SQLITE = "sqlite:///"
# MLflow's own defaults retry a refused connection for four minutes.
HTTP_RETRIES, HTTP_TIMEOUT_S = "2", "20"


def resolve_model(
    tracking_uri: str,
    name: str,
    *,
    alias: str | None = None,
    version: int | None = None,
    digest: str | None = None,
    cache_root: Path | None = None,
) -> ModelIdentity:
    """Freeze a registered model.

    Args:
        tracking_uri: MLflow tracking and registry URI.
        name: Registered model.
        alias: Movable name to resolve; needed when no version is given.
        version: Exact version; wins over the alias.
        digest: What the artifact must have; none: whatever it has.
        cache_root: Node cache, into which an artifact that is no local folder is fetched; none: that of this
            process's environment.

    Returns:
        Version, location, content digest and signature; nothing in it moves when the alias does.

    Raises:
        ModelNotFound: No such model, alias or version.
        RegistryUnavailable: The registry did not answer.
        ArtifactInvalid: The artifact has no usable signature, or is not the one that is wanted.
        ArtifactUnreachable: Its files cannot be read.
    """
    wanted = f"version {version}" if version is not None else f"alias {alias!r}"
    with _registry_errors(tracking_uri, name, wanted) as client:
        if version is not None:
            found = client.get_model_version(name, str(version))
        else:
            found = client.get_model_version_by_alias(name, str(alias))
        location = client.get_model_version_download_uri(name, found.version)
    label = f"{name} version {found.version}"
    location = public_location(tracking_uri, _location(tracking_uri, location), model=label)
    if local_folder(location) is not None:
        path = local_path(location, model=label)
        location, got = str(path), artifact_digest(path)
    else:
        cache = cache_root or Settings.from_env(os.environ).cache_root
        path, got = fetch_unknown(location, cache, title=label)
    signature = read_artifact(path, model=label).signature
    if digest is not None and got != digest:
        problem = f"its artifact has digest {got}, and {digest} is wanted: its files were changed"
        raise ArtifactInvalid(label, f"{problem}; register the changed model as a version of its own")
    return ModelIdentity(
        name=name,
        version=int(found.version),
        alias=alias if version is None else None,
        model_id=getattr(found, "model_id", None) or None,
        digest=got,
        location=location,
        inputs=signature.inputs,
        outputs=signature.outputs,
    )


def move_alias(tracking_uri: str, name: str, *, alias: str, version: int) -> int | None:
    """Point an alias at a version; return the version that it pointed at before, `None` for none.

    Args:
        tracking_uri: MLflow tracking and registry URI.
        name: Registered model.
        alias: Alias to move.
        version: Where to.

    Raises:
        ModelNotFound: There is no such model or version.
        RegistryUnavailable: The registry did not answer.
    """
    with _registry_errors(tracking_uri, name, f"version {version}") as client:
        client.get_model_version(name, str(version))
        before = client.get_registered_model(name).aliases.get(alias)
        client.set_registered_model_alias(name, alias, str(version))
    return None if before is None else int(before)


def list_versions(tracking_uri: str, name: str) -> list[tuple[int, list[str]]]:
    """Return all versions of a model with the aliases of each, newest first."""
    with _registry_errors(tracking_uri, name, "versions") as client:
        model = client.get_registered_model(name)
        found: list[ModelVersion] = list(client.search_model_versions(f"name='{name}'"))
    aliases: dict[int, list[str]] = {}
    for alias, number in model.aliases.items():
        aliases.setdefault(int(number), []).append(alias)
    return sorted(((int(v.version), sorted(aliases.get(int(v.version), []))) for v in found), reverse=True)


@contextmanager
def _registry_errors(tracking_uri: str, name: str, wanted: str) -> Iterator["MlflowClient"]:
    """Give a client; turn MLflow's errors into ours."""
    if tracking_uri.startswith(SQLITE) and not Path(tracking_uri.removeprefix(SQLITE)).is_file():
        raise ModelNotFound(name, wanted=wanted, tracking_uri=f"{tracking_uri} (no such file yet)", models=())
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", HTTP_RETRIES)
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", HTTP_TIMEOUT_S)
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    client: MlflowClient | None = None
    shown = without_secrets(tracking_uri)
    try:
        client = MlflowClient(tracking_uri, tracking_uri)
        yield client
    except SQLAlchemyError as error:
        raise RegistryUnavailable(shown, _first_line(str(error))) from error
    except MlflowException as error:
        if error.error_code in NOT_FOUND_CODES:
            raise _not_found(client, tracking_uri, name, wanted=wanted) from error
        raise RegistryUnavailable(shown, _reason(error)) from error


def _not_found(client: "MlflowClient | None", tracking_uri: str, name: str, *, wanted: str) -> LockstepError:
    """Return the error of what a registry does not have: a model of that name, a version, or it is no registry."""
    from mlflow.exceptions import MlflowException

    if client is None:
        return SettingsError("MLFLOW_TRACKING_URI", got=without_secrets(tracking_uri), expected=REGISTRIES)
    try:
        models = sorted(model.name for model in client.search_registered_models(max_results=MOST_MODELS))
    except MlflowException:
        models = [name]
    shown, unknown = without_secrets(tracking_uri), name not in models and len(models) < MOST_MODELS
    listed = models if unknown else None
    return ModelNotFound(name, wanted=wanted, tracking_uri=shown, known=_known(client, name), models=listed)


def _reason(error: BaseException) -> str:
    """Return why a registry did not answer: what the system said, where it did, else how MLflow puts it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        reason = cause.args[0] if cause.args else None
        inner = getattr(reason, "reason", reason)
        cause = cause.__cause__ or cause.__context__ or (inner if isinstance(inner, BaseException) else None)
    return without_secrets(_first_line(str(error)))


def _known(client: "MlflowClient | None", name: str) -> list[str]:
    """Name what a model does have; empty when the model itself is unknown."""
    from mlflow.exceptions import MlflowException

    if client is None:
        return []
    try:
        model = client.get_registered_model(name)
        versions = sorted(int(v.version) for v in client.search_model_versions(f"name='{name}'"))
    except MlflowException:
        return []
    return [f"alias {a!r} (version {v})" for a, v in model.aliases.items()] + [f"version {v}" for v in versions]


def _location(tracking_uri: str, location: str) -> str:
    """Follow `models:/m-<id>` to where the logged model lies."""
    if not location.startswith("models:/"):
        return location
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri, tracking_uri)
    return str(client.get_logged_model(location.removeprefix("models:/")).artifact_location)


def local_path(location: str, *, model: str) -> Path:
    """Return the folder of an artifact URI, or raise `ArtifactInvalid` when this machine cannot read it."""
    parsed = urlparse(location)
    if parsed.scheme not in {"", "file"}:
        problem = f"its artifacts are at {parsed.scheme}://; only a local or mounted folder can be read"
        raise ArtifactInvalid(model, problem)
    path = Path(unquote(parsed.path))
    if not path.is_dir():
        raise ArtifactInvalid(model, f"its folder {path} does not exist on this machine")
    return path


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0][:300] if text.strip() else "no message"
