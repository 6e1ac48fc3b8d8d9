"""Spark profiles: files of `spark-conf/`, laid one over the other into one set of properties.

Those of the project come first, then those that come with this package.

A file may say in a comment `# Builds on: a, b.` which files it is laid over; several profiles (`standalone,gpu`) are
laid over each other in the order in which they are named. The last one that sets a key decides.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lockstep.errors import ProfileInvalid, ProfileUnknown
from lockstep.specs.shipped import shipped

FOLDER: Final = "spark-conf"
MASTER, DEPLOY_MODE = "spark.master", "spark.submit.deployMode"
EXECUTOR_RESOURCE = "spark.executor.resource."
BUILDS_ON = re.compile(r"# Builds on: ([\w, .-]+)\.")
PROPERTY = re.compile(r"([^\s=:]+)\s*[\s=:]\s*(.*)")
NAME = re.compile(r"[A-Za-z0-9][\w-]*")


@dataclass(frozen=True)
class Property:
    """A property of Spark and the profile that it is from."""

    value: str
    profile: str


def profile_names(text: str) -> tuple[str, ...]:
    """Return the names in a setting such as `standalone,gpu`."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def profile_folders(project_root: Path) -> list[Path]:
    """Return the folders in which profiles are looked for, the first one first."""
    ours = shipped(FOLDER)
    own = project_root / FOLDER
    return [own, ours] if own.is_dir() and own != ours else [ours]


def load_profiles(names: Sequence[str], *folders: Path) -> dict[str, Property]:
    """Return the properties of profiles and of what they build on, in the order of the files.

    Args:
        names: Profiles, overlays after what they go over.
        folders: Each a `spark-conf/`; a profile is taken from the first that has it.

    Raises:
        ProfileUnknown: There is no such file.
        ProfileInvalid: A line is no property, a key comes twice in a file, or the profiles make no whole.
    """
    merged: dict[str, Property] = {}
    for name in dict.fromkeys(part for named in names for part in _with_bases(named, folders, above=())):
        merged |= {key: Property(value, name) for key, value in read_profile(_file(name, folders)).items()}
    _check_whole(names, merged, folders)
    return merged


def read_profile(path: Path) -> dict[str, str]:
    """Read the properties of one file, without those of what it builds on.

    Raises:
        ProfileInvalid: A line is no property, or a key comes twice.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        stated = line.strip()
        if not stated or stated[0] in "#!":
            continue
        match = PROPERTY.fullmatch(stated)
        where = f"{path.name} line {number}"
        if match is None or stated.endswith("\\"):
            raise ProfileInvalid(path.stem, problem=f"{where} is {stated!r}", expected="a key and a value on one line")
        if match[1] in found:
            raise ProfileInvalid(path.stem, problem=f"{where} sets {match[1]} again", expected="each key once")
        found[match[1]] = match[2]
    return found


def _file(name: str, folders: Sequence[Path]) -> Path:
    files = [folder / f"{name}.conf" for folder in folders]
    found = [file for file in files if file.is_file()]
    if NAME.fullmatch(name) is None or not found:
        known = sorted({file.stem for folder in folders for file in folder.glob("*.conf")})
        raise ProfileUnknown(name, folder=" or ".join(map(str, folders)), known=known)
    return found[0]


def _with_bases(name: str, folders: Sequence[Path], *, above: tuple[str, ...]) -> Iterator[str]:
    path = _file(name, folders)
    if name in above:
        raise ProfileInvalid(name, problem=f"it builds on itself by way of {above[-1]}", expected="no circle")
    bases = [base for line in BUILDS_ON.findall(path.read_text(encoding="utf-8")) for base in profile_names(line)]
    for base in bases:
        yield from _with_bases(base, folders, above=(*above, name))
    yield name


def _check_whole(names: Sequence[str], merged: Mapping[str, Property], folders: Sequence[Path]) -> None:
    title = ",".join(names)
    if MASTER not in merged:
        files = [file for folder in folders for file in folder.glob("*.conf")]
        whole = sorted({file.stem for file in files if MASTER in read_profile(file)})
        expected = f"one of {', '.join(whole)}, first of all"
        raise ProfileInvalid(
            title or "''", problem="no profile in it names a cluster (spark.master)", expected=expected
        )
    resources = [key for key in merged if key.startswith(EXECUTOR_RESOURCE)]
    if resources and merged[MASTER].value.startswith("local"):
        problem = f"{resources[0]} asks for GPUs of executors, and Spark's local mode hands none out"
        expected = "a cluster below that overlay, or local alone, which uses the GPU that torch sees"
        raise ProfileInvalid(title, problem=problem, expected=expected)


def properties_text(properties: Mapping[str, Property]) -> str:
    """Return properties as a file for `spark-submit --properties-file`, which says where each is from."""
    lines, profile = [], ""
    for key, property_ in sorted(properties.items(), key=lambda item: (item[1].profile, item[0])):
        if property_.profile != profile:
            profile = property_.profile
            lines.append(f"# {profile}")
        lines.append(f"{key} {property_.value}")
    return "\n".join(lines) + "\n"
