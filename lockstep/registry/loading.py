"""From an artifact folder to a Scorer."""

import json
import platform
from importlib import metadata
from pathlib import Path

from lockstep.errors import ArtifactInvalid
from lockstep.registry.artifact import BASELINE_FILE, Artifact, read_artifact
from lockstep.run.identity import canonical_digest
from lockstep.scoring.backends import BACKENDS, Backend, Execution, load_backend
from lockstep.scoring.blocks import BlockSizes
from lockstep.scoring.profile import Profile
from lockstep.scoring.scorer import Scorer

# Libraries whose kernels decide the last bit of a result.
NUMERIC_LIBRARIES = ("numpy", "torch", "onnxruntime", "scikit-learn", "scipy", "xgboost", "lightgbm")
CPUINFO = Path("/proc/cpuinfo")


def load_scorer(path: Path, *, execution: Execution | None = None, search: bool = False) -> Scorer:
    """Load the Scorer of an artifact: its Lockstep backend, or MLflow's pyfunc for any other model.

    Args:
        path: Folder of the model, in the node cache; what is learnt about block sizes is kept beside it.
        execution: Device, precision and threads.
        search: Whether to look for block sizes larger than the artifact's (see `lockstep.scoring.blocks`).

    Raises:
        ArtifactInvalid: The artifact has no usable signature or names an unknown backend.
        DeviceMissing: A GPU is asked for and there is none.
    """
    artifact = read_artifact(path, model=path.name)
    chosen = execution or Execution()
    backend = _backend(artifact, chosen)
    store = path.parent / "blocks" / f"{fingerprint(backend.device, chosen)}.json"
    blocks = BlockSizes(artifact.block_rows, store=store, search=search)
    return Scorer(backend, artifact.signature, block_rows=artifact.block_rows, blocks=blocks)


def _backend(artifact: Artifact, execution: Execution) -> Backend:
    if artifact.backend is None:
        from lockstep.registry.pyfunc_backend import load

        return load(artifact)
    if artifact.backend not in BACKENDS:
        known = ", ".join(BACKENDS)
        raise ArtifactInvalid(artifact.path.name, f"its backend is {artifact.backend!r}; this version knows {known}")
    return load_backend(artifact.backend, artifact.files, execution)


def fingerprint(device: str, execution: Execution) -> str:
    """Name what a certificate of block sizes holds for: hardware, libraries, precision and threads."""
    versions = {}
    for library in NUMERIC_LIBRARIES:
        try:
            versions[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    kind = device.partition(":")[0]
    facts = {"hardware": hardware(device), "precision": execution.precision, "threads": execution.threads, **versions}
    return f"{kind}-{execution.precision}-{canonical_digest(facts)[:12]}"


def hardware(device: str) -> str:
    """Return the name of the GPU or processor."""
    if device.startswith("cuda"):
        import torch

        return str(torch.cuda.get_device_name(device))
    try:
        lines = CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else f"{platform.machine()} {platform.processor()}".strip()


def baseline(path: Path) -> Profile | None:
    """Return the training baseline profile of an artifact, or none when the model was logged without one."""
    file = read_artifact(path, model=path.name).files / BASELINE_FILE
    return Profile.from_json(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else None
