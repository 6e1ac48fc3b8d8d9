"""A model artifact on disk: what its MLmodel file says, and the digest that names its content."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from lockstep.errors import ArtifactInvalid
from lockstep.registry.signature_json import Tensor, signature_columns, signature_tensors
from lockstep.run.identity import file_sha256
from lockstep.scoring.signature import Signature

MLMODEL = "MLmodel"
# Written by MLflow when somebody downloads the model; not part of it.
NOT_CONTENT = {"registered_model_meta"}
DEFAULT_BLOCK_ROWS = 64
DIGEST = re.compile(r"[0-9a-f]{64}")
BASELINE_FILE = "baseline.json"


@dataclass(frozen=True)
class Artifact:
    """What an MLmodel file declares.

    Attributes:
        path: Folder of the model.
        signature: Inputs and outputs.
        backend: Lockstep backend, or none for any other MLflow model.
        block_rows: Rows of one forward pass.
        input_example: Relative path of the stored example in split orientation, if there is one.
        tensors: The inputs as tensors, in order; empty where the model takes a data frame of columns.
        flavors: MLflow flavor name to its configuration, such as `onnx` and `python_function`.
        parameters: Defaults of the signature's parameters, which MLflow's pyfunc passes to the model, by name.
    """

    path: Path
    signature: Signature
    backend: str | None
    block_rows: int
    input_example: str | None
    tensors: tuple[Tensor, ...] = ()
    flavors: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What errors call the model; a folder knows no name of the registry, and in a cache it tells the digest."""
        return title_of(self.path)

    @property
    def files(self) -> Path:
        """Folder of the artifact's own files (network, encoding, baseline)."""
        return self.path / "artifacts"


def title_of(path: Path) -> str:
    """Return what errors call the model of a folder, which in the node cache is `<digest>/model`."""
    return f"with digest {path.parent.name[:12]}" if DIGEST.fullmatch(path.parent.name) else path.name


def read_artifact(path: Path, *, model: str) -> Artifact:
    """Read the MLmodel file of an artifact.

    Args:
        path: Folder of the model.
        model: What to call the model in an error.

    Raises:
        ArtifactInvalid: There is no MLmodel file, no signature, or one with types that cannot be columns.
    """
    try:
        stored = yaml.safe_load((path / MLMODEL).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ArtifactInvalid(model, f"no readable {MLMODEL} file in {path}") from error
    declared = stored.get("signature") or {}
    if not declared.get("inputs") or not declared.get("outputs"):
        raise ArtifactInvalid(model, "it has no signature with inputs and outputs; log it with `signature=`")
    signature = Signature(
        signature_columns(declared["inputs"], model=model, side="input"),
        signature_columns(declared["outputs"], model=model, side="output"),
    )
    ours = (stored.get("metadata") or {}).get("lockstep") or {}
    example = (stored.get("saved_input_example_info") or {}).get("artifact_path")
    return Artifact(
        path,
        signature,
        ours.get("backend"),
        int(ours.get("block_rows", DEFAULT_BLOCK_ROWS)),
        example,
        tensors=signature_tensors(declared["inputs"], signature.inputs),
        flavors=stored.get("flavors") or {},
        parameters={one["name"]: one.get("default") for one in json.loads(declared.get("params") or "[]")},
    )


def content_files(path: Path) -> list[Path]:
    """Return the files that make up a model, in path order."""
    files = (p for p in path.rglob("*") if p.is_file())
    return sorted(p for p in files if p.name not in NOT_CONTENT and "__pycache__" not in p.parts)


def artifact_digest(path: Path) -> str:
    """Return the sha256 over the relative paths and contents of a model's files, in hex."""
    digest = hashlib.sha256()
    for file in content_files(path):
        digest.update(f"{file.relative_to(path).as_posix()}\0{file_sha256(file)}\n".encode())
    return digest.hexdigest()
