"""What to say of an artifact that does not load: by which name, why, and what helps."""

import re

from lockstep.errors import ArtifactInvalid
from lockstep.registry.artifact import Artifact

NO_MODULE = re.compile(r"No module named '([\w.]+)'")
LONGEST = 400


def unloadable(artifact: Artifact, error: Exception) -> ArtifactInvalid:
    """Return the error of a model that MLflow cannot load here."""
    told = " ".join(str(error).replace(f"{artifact.path}/", "").split())[:LONGEST]
    problem = f"MLflow cannot load it: {type(error).__name__}: {told}"
    missing = NO_MODULE.search(str(error))
    if missing:
        name = missing[1]
        problem += (
            f". The module {name!r} is neither logged with the model nor installed here: log it with code_paths=, "
            "or install it in the data environment"
        )
    return ArtifactInvalid(artifact.title, problem)
