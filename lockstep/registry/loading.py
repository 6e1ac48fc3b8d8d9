"""From an artifact folder to a Scorer."""

import json
from pathlib import Path

from lockstep.errors import ArtifactInvalid
from lockstep.registry.artifact import BASELINE_FILE, Artifact, read_artifact
from lockstep.scoring.backends import BACKENDS, Backend, load_backend
from lockstep.scoring.profile import Profile
from lockstep.scoring.scorer import Scorer


def load_scorer(path: Path) -> Scorer:
    """Load the Scorer of an artifact: its Lockstep backend, or MLflow's pyfunc for any other model.

    Raises:
        ArtifactInvalid: The artifact has no usable signature or names an unknown backend.
    """
    artifact = read_artifact(path, model=path.name)
    return Scorer(_backend(artifact), artifact.signature, block_rows=artifact.block_rows)


def _backend(artifact: Artifact) -> Backend:
    if artifact.backend is None:
        from lockstep.registry.pyfunc_backend import load

        return load(artifact)
    if artifact.backend not in BACKENDS:
        known = ", ".join(BACKENDS)
        raise ArtifactInvalid(artifact.path.name, f"its backend is {artifact.backend!r}; this version knows {known}")
    return load_backend(artifact.backend, artifact.files)


def baseline(path: Path) -> Profile | None:
    """Return the training baseline profile of an artifact, or none when the model was logged without one."""
    file = read_artifact(path, model=path.name).files / BASELINE_FILE
    return Profile.from_json(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else None
