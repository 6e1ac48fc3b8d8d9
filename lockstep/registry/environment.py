"""The libraries that a model was logged with, against those that are installed."""

import logging
import re
import socket
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Literal

from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import InvalidVersion, Version

from lockstep.errors import RequirementsDiffer

log = logging.getLogger(__name__)

Policy = Literal["refuse", "warn", "ignore"]
REQUIREMENTS = "requirements.txt"
# MLflow pins itself in every model. Of it, only the format of the folder counts, which is checked when it is read.
NOT_COMPUTING = re.compile(r"mlflow([-_.].*)?", re.IGNORECASE)
# The build of a version (+cpu, +cu126) differs between machines by design.
BUILD = re.compile(r"\+[A-Za-z0-9.]+")


def require_environment(path: Path, policy: Policy, *, title: str) -> tuple[str, ...]:
    """Compare what a model wants with what is installed here.

    Args:
        path: Folder of the model.
        policy: `refuse` raises, `warn` logs, `ignore` does not look.
        title: What to call the model.

    Returns:
        A text for each library that differs.

    Raises:
        RequirementsDiffer: One differs and the policy is to refuse.
    """
    if policy == "ignore":
        return ()
    found = differences(path)
    if found and policy == "refuse":
        raise RequirementsDiffer(title, differences=found, where=f"machine {socket.gethostname()}")
    if found:
        log.warning("model %s was logged with other libraries than are installed: %s", title, "; ".join(found))
    return found


def differences(path: Path) -> tuple[str, ...]:
    """Return `name: wanted ..., found ...` for each requirement that is not met; none where a model states none."""
    try:
        text = (path / REQUIREMENTS).read_text(encoding="utf-8")
    except OSError:
        return ()
    found = []
    for requirement in _requirements(text):
        version = _installed(requirement.name)
        wanted = str(requirement.specifier) or "any version"
        if version is None:
            found.append(f"{requirement.name}: wanted {wanted}, found none")
        elif not _is_met(requirement, version):
            found.append(f"{requirement.name}: wanted {wanted}, found {version}")
    return tuple(found)


def _requirements(text: str) -> Iterator[Requirement]:
    """Read what names a library and counts on this machine; options and paths of pip do not."""
    for line in text.splitlines():
        stated = re.split(r"\s#|\s--", BUILD.sub("", line), maxsplit=1)[0].strip().rstrip("\\").strip()
        if not stated or stated[0] in "#-./":
            continue
        try:
            requirement = Requirement(stated)
        except InvalidRequirement:
            continue
        if NOT_COMPUTING.fullmatch(requirement.name):
            continue
        if requirement.marker is None or requirement.marker.evaluate():
            yield requirement


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _is_met(requirement: Requirement, version: str) -> bool:
    try:
        return requirement.specifier.contains(Version(version).public, prereleases=True)
    except InvalidVersion:
        return not requirement.specifier
