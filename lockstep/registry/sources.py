"""Where an artifact's files are: a folder, a store of objects, or MLflow's own server; and how a node gets them."""

import os
import shutil
import socket
import tempfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pyarrow.fs as pafs

from lockstep.errors import ArtifactInvalid, ArtifactUnreachable, FileUnreadable
from lockstep.registry.artifact import content_files
from lockstep.run.identity import canonical_digest
from lockstep.scoring.storage import place, reason

PROXIED = "mlflow-artifacts"
ARTIFACTS_PATH = "/api/2.0/mlflow-artifacts/artifacts"
COPY_BYTES = 8 << 20
# Parts of the name of an option of a URL that may hold a secret.
SECRETS = ("key", "secret", "token", "password", "sig")


def public_location(tracking_uri: str, location: str, *, model: str) -> str:
    """Return a location that any node can read and anybody may see: it goes into plans.

    What MLflow's server hands out under `mlflow-artifacts:` gets that server's address.

    Raises:
        ArtifactInvalid: It holds credentials.
    """
    parsed = urlsplit(location)
    if parsed.scheme == PROXIED:
        server = urlsplit(tracking_uri)
        host = parsed.netloc or server.netloc.rpartition("@")[2]
        location = f"{server.scheme}://{host}{server.path.rstrip('/')}{ARTIFACTS_PATH}{parsed.path}"
        parsed = urlsplit(location)
    options = [option.partition("=")[0].lower() for option in parsed.query.split("&")]
    if parsed.password or any(word in option for option in options for word in SECRETS):
        problem = f"its location on {parsed.scheme}://{parsed.hostname or ''} holds credentials"
        raise ArtifactInvalid(model, f"{problem}; let the platform give them (role, profile, environment)")
    return location


def local_folder(location: str) -> Path | None:
    """Return the folder of a location on this machine, or none for a URL of anything else."""
    parsed = urlsplit(location)
    return Path(unquote(parsed.path)) if parsed.scheme in {"", "file"} else None


def source_facts(location: str) -> str | None:
    """Return a digest of names, sizes and times of a store's files, or none where they cannot be listed cheaply.

    Raises:
        OSError: The store does not answer.
        FileUnreadable: No file system of this machine knows the URL.
    """
    if urlsplit(location).scheme in {"http", "https"}:
        return None
    where = place(location)
    return canonical_digest(sorted((i.path, i.size, i.mtime_ns) for i in _infos(where.filesystem, where.path)))


def copy_source(location: str, target: Path, *, title: str) -> None:
    """Copy the files of an artifact into a folder.

    Args:
        location: Folder or URL, as `public_location` returned it.
        target: A folder, made if there is anything to copy.
        title: What to call the model.

    Raises:
        ArtifactUnreachable: This machine cannot read it now.
    """
    try:
        folder = local_folder(location)
        if folder is not None:
            _copy_folder(folder, target)
        elif urlsplit(location).scheme in {"http", "https"}:
            _download(location, target)
        else:
            where = place(location)
            for info in _infos(where.filesystem, where.path):
                file = target / info.path.removeprefix(where.path).lstrip("/")
                file.parent.mkdir(parents=True, exist_ok=True)
                with where.filesystem.open_input_stream(info.path) as source, file.open("wb") as copy:
                    shutil.copyfileobj(source, copy, COPY_BYTES)
    except (OSError, FileUnreadable) as error:
        raise ArtifactUnreachable(title, location=location, host=socket.gethostname(), reason=reason(error)) from error


def _infos(filesystem: pafs.FileSystem, path: str) -> list[pafs.FileInfo]:
    found = filesystem.get_file_info(pafs.FileSelector(path, recursive=True))
    return [info for info in found if info.type == pafs.FileType.File]


def _copy_folder(source: Path, target: Path) -> None:
    if not source.is_dir():
        raise FileNotFoundError(f"the folder {source} does not exist on this machine")
    for file in content_files(source):
        copy = target / file.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)


def _download(url: str, target: Path) -> None:
    """Get the files from MLflow's server; who we are is in MLflow's own variables."""
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    target.parent.mkdir(parents=True, exist_ok=True)
    # MLflow puts the folder that a URL names into the one that it is given.
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        try:
            found = Path(download_artifacts(artifact_uri=url, dst_path=scratch))
        except MlflowException as error:
            raise OSError(reason(error)) from error
        if not found.is_dir():
            raise FileNotFoundError("there is no such folder on that server")
        found.rename(target)
