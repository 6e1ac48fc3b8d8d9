"""From an artifact folder to a Scorer."""

import json
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import import_module, metadata
from pathlib import Path

from lockstep.errors import ArtifactInvalid, PrecisionUnsupported
from lockstep.registry.artifact import BASELINE_FILE, Artifact, read_artifact, title_of
from lockstep.registry.own_code import OwnCode, OwnCodeBackend
from lockstep.run.identity import canonical_digest
from lockstep.scoring.backends import BACKENDS, Backend, Execution, load_backend
from lockstep.scoring.blocks import BlockSizes
from lockstep.scoring.profile import Profile
from lockstep.scoring.scorer import Scorer

# Libraries whose kernels decide the last bit of a result.
NUMERIC_LIBRARIES = ("numpy", "torch", "onnxruntime", "scikit-learn", "scipy", "xgboost", "lightgbm")
# Raised when certificates are earned in another way: what was kept before counts no more.
CERTIFICATION = 3
CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Flavor:
    """How models of an MLflow flavor are loaded: "module:function", imported only when it is asked for."""

    loader: str
    precisions: tuple[str, ...] = ("float32",)


# What torch casts by itself. Lockstep's own backends (`lockstep.scoring.backends.BACKENDS`) know the same.
AUTOCAST = ("float32", "bfloat16", "float16")
# Models without a Lockstep backend, by MLflow flavor; the first that an artifact has is taken. Adding one adds a file
# with `load(artifact, execution)` and a line.
FLAVORS = {
    "onnx": Flavor("lockstep.registry.onnx_flavor:load", ("float32", "int8")),
    "pytorch": Flavor("lockstep.registry.pytorch_flavor:load", (*AUTOCAST, "int8")),
    "sklearn": Flavor("lockstep.registry.sklearn_flavor:load"),
    "python_function": Flavor("lockstep.registry.pyfunc_backend:load"),
}
# Takes what the others do not: parameters of `predict`, which its own wrapper fills in.
ANY = "python_function"


def load_scorer(path: Path, *, execution: Execution | None = None, search: bool = False) -> Scorer:
    """Load the Scorer of an artifact: its Lockstep backend, or what its MLflow flavor is scored by.

    Args:
        path: Folder of the model, in the node cache; what is learnt about block sizes is kept beside it.
        execution: Device, precision and threads.
        search: Whether to look for block sizes larger than the artifact's (see `lockstep.scoring.blocks`).

    Raises:
        ArtifactInvalid: The artifact has no usable signature or names an unknown backend.
        DeviceMissing: A GPU is asked for and there is none.
        PrecisionUnsupported: The model's kind does not know the precision.
    """
    artifact = read_artifact(path, model=title_of(path))
    chosen = replace(execution or Execution(), cache=path.parent / "networks")
    code = OwnCode(path, artifact.flavors)
    with code.in_place():
        backend = _backend(artifact, chosen)
    if code.names:
        backend = OwnCodeBackend(backend, code)
    store = path.parent / "blocks" / f"{fingerprint(backend.device, chosen)}.json"
    blocks = BlockSizes(artifact.block_rows, store=store, search=search)
    name = artifact.backend or flavor_of(artifact)
    return Scorer(backend, artifact.signature, block_rows=artifact.block_rows, blocks=blocks, backend_name=name)


def flavor_of(artifact: Artifact) -> str:
    """Return the name of what scores a model without a Lockstep backend, a key of `FLAVORS`.

    A flavor counts where the model's pyfunc is that flavor's own, and not one that does more around the same files.
    """
    if artifact.parameters and ANY in artifact.flavors:
        return ANY
    wrapper = (artifact.flavors.get(ANY) or {}).get("loader_module")
    return next((n for n in FLAVORS if n in artifact.flavors and wrapper in {None, f"mlflow.{n}"}), ANY)


def _backend(artifact: Artifact, execution: Execution) -> Backend:
    title = artifact.title
    if artifact.backend is not None:
        if artifact.backend not in BACKENDS:
            known = ", ".join(BACKENDS)
            raise ArtifactInvalid(title, f"its backend is {artifact.backend!r}; this version knows {known}")
        _require(artifact.backend, AUTOCAST, execution, title=title)
        return load_backend(artifact.backend, artifact.files, execution)
    name = flavor_of(artifact)
    _require(name, FLAVORS[name].precisions, execution, title=title)
    module, function = FLAVORS[name].loader.split(":")
    loader: Callable[[Artifact, Execution], Backend] = getattr(import_module(module), function)
    return loader(artifact, execution)


def _require(kind: str, precisions: Sequence[str], execution: Execution, *, title: str) -> None:
    if execution.precision not in precisions:
        reason = f"what scores it ({kind}) knows {', '.join(precisions)}"
        raise PrecisionUnsupported(title, wanted=execution.precision, reason=reason)


def fingerprint(device: str, execution: Execution) -> str:
    """Name what a certificate of block sizes holds for: hardware, libraries, precision and threads."""
    versions = {}
    for library in NUMERIC_LIBRARIES:
        try:
            versions[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    kind = device.partition(":")[0]
    machine = {"hardware": hardware(device), "precision": execution.precision, "threads": execution.threads}
    facts = {"rule": CERTIFICATION, **machine, **versions}
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
    file = read_artifact(path, model=title_of(path)).files / BASELINE_FILE
    return Profile.from_json(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else None
