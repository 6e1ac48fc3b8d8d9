"""Refuse lock files that do not answer to their `.in`, or that disagree with each other. Asks no registry."""

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
    problems += [problem for pair in MUST_AGREE for problem in disagreements(*pair)]
    print("\n".join(problems) or f"locks: {len(NAMES)} agree with their .in files and with each other")
    return 1 if problems else 0


def malformed(name: str) -> Iterator[str]:
    """Yield the lines that are not `name==version`: no hash, no address, no local version part."""
    for line in (REQUIREMENTS / f"{name}.lock").read_text().splitlines():
        if not line.startswith("#") and not PIN.fullmatch(line):
            yield f"requirements/{name}.lock: not a plain pin: {line}"


def unanswered(name: str) -> Iterator[str]:
    """Yield the direct requirements that the lock does not meet."""
    pins = read_pins(name)
    for line in (REQUIREMENTS / f"{name}.in").read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        requirement = Requirement(line)
        pin = pins.get(canonicalize_name(requirement.name), "absent")
        if pin == "absent" or pin not in requirement.specifier:
            yield f"requirements/{name}.lock: {line} is asked for, {pin} is locked: run `make lock`"


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
