"""The node cache: each model artifact is copied once per machine, named by its digest and verified.

Any number of processes may ask at once; one copies, the others wait for it. A process that is killed while it copies
lets go of the lock, and the next one clears its remains away and copies anew.
"""

import os
import shutil
from pathlib import Path

from filelock import FileLock

from lockstep.errors import ArtifactInvalid
from lockstep.registry.artifact import artifact_digest
from lockstep.registry.sources import copy_source, source_facts
from lockstep.run.identity import canonical_digest
from lockstep.run.plan import ModelIdentity

VERIFIED = ".verified"
SEEN = "seen"  # folder of what was read from stores: facts of an artifact's files to its digest
PARTIAL = ".partial"


def fetch_artifact(identity: ModelIdentity, cache_root: Path) -> Path:
    """Return the local copy of a frozen model, made and verified if need be.

    The location is read only while the copy does not exist, so a finished cache works even when the registry is gone.
    It is read from where the files are (a folder, a store of objects, MLflow's server), whoever made the plan.

    Raises:
        ArtifactInvalid: The artifact is no longer what was planned.
        ArtifactUnreachable: This machine cannot read it.
    """
    target = cache_root / "models" / identity.digest
    if (target / VERIFIED).is_file():
        return target / "model"
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{target}.lock"):
        if not (target / VERIFIED).is_file():
            _copy_verified(identity, target)
    return target / "model"


def fetch_unknown(location: str, cache_root: Path, *, title: str) -> tuple[Path, str]:
    """Return a local copy of an artifact in a store and its digest, which nobody knows yet.

    It is not fetched again as long as the store tells the same names, sizes and times of its files.

    Raises:
        ArtifactUnreachable: This machine cannot read it.
    """
    models = cache_root / "models"
    (models / SEEN).mkdir(parents=True, exist_ok=True)
    with FileLock(models / SEEN / f"{canonical_digest(location)}.lock"):
        known = _seen(location, models)
        if known is not None and known.is_file():
            digest = known.read_text(encoding="utf-8")
            if (models / digest / VERIFIED).is_file():
                return models / digest / "model", digest
        draft = models / SEEN / f"{canonical_digest(location)}{PARTIAL}"
        shutil.rmtree(draft, ignore_errors=True)
        try:
            copy_source(location, draft / "model", title=title)
            digest = artifact_digest(draft / "model")
            with FileLock(f"{models / digest}.lock"):
                _keep(draft, models / digest)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        if known is not None:
            known.write_text(digest, encoding="utf-8")
    return models / digest / "model", digest


def _seen(location: str, models: Path) -> Path | None:
    try:
        facts = source_facts(location)
    except OSError:  # copying says it better
        return None
    return None if facts is None else models / SEEN / canonical_digest([location, facts])


def _copy_verified(identity: ModelIdentity, target: Path) -> None:
    # We hold the lock, so whoever left these is dead.
    for remains in target.parent.glob(f"{target.name}.*{PARTIAL}"):
        shutil.rmtree(remains, ignore_errors=True)
    partial = target.with_name(f"{target.name}.{os.getpid()}{PARTIAL}")
    name = f"{identity.name} version {identity.version}"
    try:
        copy_source(identity.location, partial / "model", title=name)
        digest = artifact_digest(partial / "model") if partial.is_dir() else "nothing"
        if digest != identity.digest:
            problem = f"its files changed since the run was planned: expected {identity.digest}, got {digest}"
            raise ArtifactInvalid(name, problem)
        _keep(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _keep(draft: Path, target: Path) -> None:
    """Give a whole copy its name; the mark of a verified one is in it before."""
    if (target / VERIFIED).is_file():
        return
    (draft / VERIFIED).touch()
    shutil.rmtree(target, ignore_errors=True)
    draft.rename(target)
