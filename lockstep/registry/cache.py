"""The node cache: each model artifact is copied once per machine, named by its digest and verified."""

import os
import shutil
from pathlib import Path

from filelock import FileLock

from lockstep.errors import ArtifactInvalid
from lockstep.registry.artifact import artifact_digest, content_files
from lockstep.run.plan import ModelIdentity

VERIFIED = ".verified"


def fetch_artifact(identity: ModelIdentity, cache_root: Path) -> Path:
    """Return the local copy of a frozen model, made and verified if need be.

    Any number of processes may call this at once; one copies, the others wait. The location is read only while the
    copy does not exist, so a finished cache works even when the registry is gone.

    Raises:
        ArtifactInvalid: The artifact is no longer what was planned.
    """
    target = cache_root / "models" / identity.digest
    if (target / VERIFIED).is_file():
        return target / "model"
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{target}.lock"):
        if not (target / VERIFIED).is_file():
            _copy_verified(identity, target)
    return target / "model"


def _copy_verified(identity: ModelIdentity, target: Path) -> None:
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    source = Path(identity.location)
    shutil.rmtree(partial, ignore_errors=True)
    try:
        for file in content_files(source):
            copy = partial / "model" / file.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
        digest = artifact_digest(partial / "model") if partial.is_dir() else "nothing"
        if digest != identity.digest:
            name = f"{identity.name} version {identity.version}"
            problem = f"its files changed since the run was planned: expected {identity.digest}, got {digest}"
            raise ArtifactInvalid(name, problem)
        (partial / VERIFIED).touch()
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
