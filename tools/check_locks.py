"""Refuse locks that do not answer to their `.in`, to the extras, or to each other. Asks no registry."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REQUIREMENTS = Path(__file__).resolve().parent.parent / "requirements"
NAMES = (
    "control",
    "data",
    "training",
    "dev",
    "text",
    "drift",
    "bench",
    "serving",
    "mlserver",
    "client-triton",
    "client-kserve",
    "fuzz",
    "gateway",
    "deploy",
    "docs",
)
# What the wheel asks for in environments of one's own; the locks are the one combination that all tests run with.
EXTRAS = {
    "control": ("control",),
    "data": (
        *("scoring", "endpoint", "spark"),
        *("duckdb", "postgresql", "iceberg", "delta", "snowflake", "bigquery"),
    ),
    "training": ("training",),
}
PIN = re.compile(r"[a-z0-9][a-z0-9.-]*==[0-9][0-9a-z.!]*")
# What scores the benchmarks' models: the peers must not be faster or slower for another version of it.
COMPUTE = ("torch", "numpy", "pandas", "scikit-learn", "tokenizers", "safetensors", "pyarrow", "pydantic")
# dev, text and drift are installed into the data environment, bench on top of the same versions; docs imports the same
# code; torch and MLflow must be the same where a model is made and where it runs.
MUST_AGREE = (
    ("dev", "data", None),
    ("bench", "data", None),
    ("bench", "text", None),
    ("docs", "data", None),
    ("docs", "dev", ("griffelib", "markdown-it-py")),
    ("training", "data", ("torch", "mlflow", "pandas", "scikit-learn")),
    ("serving", "data", COMPUTE),
    ("mlserver", "data", ("mlflow", *COMPUTE)),
)


def main() -> int:
    """Print each problem; return 1 when there is one."""
    problems = [problem for name in NAMES for problem in (*malformed(name), *unanswered(name))]
    problems += [problem for lock, names in EXTRAS.items() for name in names for problem in unheld(name, lock)]
    problems += [problem for pair in MUST_AGREE for problem in disagreements(*pair)]
    print("\n".join(problems) or f"locks: {len(NAMES)} agree with their .in files, the extras and each other")
    return 1 if problems else 0


def malformed(name: str) -> Iterator[str]:
    """Yield the lines that are not `name==version`: no hash, no address, no local version part."""
    for line in (REQUIREMENTS / f"{name}.lock").read_text().splitlines():
        if not line.startswith("#") and not PIN.fullmatch(line):
            yield f"requirements/{name}.lock: not a plain pin: {line}"


def unanswered(name: str) -> Iterator[str]:
    """Yield the direct requirements that the lock does not meet."""
    for line, pin in unmet(REQUIREMENTS / f"{name}.in", name):
        yield f"requirements/{name}.lock: {line} is asked for, {pin} is locked: run `make lock`"


def unheld(extra: str, lock: str) -> Iterator[str]:
    """Yield the requirements of an extra that the lock does not meet, or that have no lower bound."""
    path = REQUIREMENTS / "extras" / f"{extra}.in"
    for line, pin in unmet(path, lock):
        yield f"requirements/extras/{extra}.in: {line} does not allow the {pin} of {lock}.lock"
    for requirement in requirements_of(path):
        if not any(bound.operator in {">=", "==", "~="} for bound in requirement.specifier):
            yield f"requirements/extras/{extra}.in: {requirement} has no lowest version"


def unmet(path: Path, lock: str) -> Iterator[tuple[Requirement, str]]:
    """Yield the requirements of a file that a lock does not meet, each with what it pins."""
    pins = read_pins(lock)
    for requirement in requirements_of(path):
        pin = pins.get(canonicalize_name(requirement.name), "absent")
        if pin == "absent" or pin not in requirement.specifier:
            yield requirement, pin


def requirements_of(path: Path) -> list[Requirement]:
    """Return the requirements of an `.in` file."""
    lines = path.read_text().splitlines()
    return [Requirement(line) for line in lines if line.strip() and not line.startswith("#")]


def disagreements(first: str, second: str, packages: tuple[str, ...] | None) -> Iterator[str]:
    """Yield the packages that two locks pin to different versions; all common ones unless told which."""
    pins = {name: read_pins(name) for name in (first, second)}
    for package in packages or sorted(pins[first].keys() & pins[second].keys()):
        versions = {name: pins[name].get(package, "absent") for name in pins}
        if len(set(versions.values())) > 1:
            yield f"requirements: the locks disagree about {package}: {versions}"


def read_pins(name: str) -> dict[str, str]:
    """Return the versions of a lock by package."""
    lines = (REQUIREMENTS / f"{name}.lock").read_text().splitlines()
    return dict(line.split("==", 1) for line in lines if "==" in line)


if __name__ == "__main__":
    sys.exit(main())
