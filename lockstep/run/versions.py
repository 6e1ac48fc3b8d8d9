"""Which versions an interpreter would score with: a process on another host compares them with the driver's.

The functions need the standard library alone and travel to executors by value (`udfs.checked`): there, `lockstep` may
be of another version, or missing.
"""

import hashlib
import importlib.util
import platform
import re
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

# What decides values and bytes of a staged file.
LIBRARIES = (
    "numpy", "pandas", "pyarrow", "torch", "onnxruntime", "scikit-learn", "scipy", "xgboost", "lightgbm",
)  # fmt: skip
PACKAGES = ("lockstep", "udfs")
CODE, LOCK = "code of lockstep", "lock of the data environment"
LOCK_FILE = "lockstep-lock"  # at the top of an environment: the digest of the lock that it was made of
DIGITS = 16


def versions_here() -> dict[str, str]:
    """Return what this interpreter has, by name; `none` is not installed, and an unknown lock is left out."""
    found = {"python": platform.python_version(), CODE: imported_code_digest()}
    for name in LIBRARIES:
        try:
            # The build of a version (+cpu, +cu126) differs between machines by design.
            found[name] = metadata.version(name).partition("+")[0]
        except metadata.PackageNotFoundError:
            found[name] = "none"
    lock = Path(sys.prefix) / LOCK_FILE
    return found | ({LOCK: lock.read_text(encoding="utf-8").strip()} if lock.is_file() else {})


def imported_code_digest() -> str:
    """Return the digest of the `lockstep` and `udfs` that an import would find, `none` without them."""
    digest, some = hashlib.sha256(), False
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        for place in (spec.submodule_search_locations if spec else None) or ():
            some = True
            add_code(digest, name, Path(place))
    return digest.hexdigest()[:DIGITS] if some else "none"


def code_digest(root: Path) -> str:
    """Return the same digest of the packages below a folder."""
    digest = hashlib.sha256()
    for name in PACKAGES:
        add_code(digest, name, root / name)
    return digest.hexdigest()[:DIGITS]


def add_code(digest: "hashlib._Hash", name: str, folder: Path) -> None:
    """Add the paths and contents of a package's modules to a digest."""
    for path in sorted(folder.rglob("*.py"), key=lambda path: path.relative_to(folder).as_posix()):
        # A checkout and an unpacked wheel have the same, whatever else lies about; the wheel's copies of other folders
        # are in `share`.
        parts = path.relative_to(folder).parts
        if parts[0] != "share" and not any(part.startswith(".") for part in parts):
            digest.update(f"{name}/{path.relative_to(folder).as_posix()}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())


def lock_digest(lock: Path) -> str:
    """Return the digest of what a lock pins, whatever its comments say."""
    lines = (line.strip() for line in lock.read_text(encoding="utf-8").splitlines())
    pins = sorted(re.sub(r"\s+", "", line) for line in lines if line and not line.startswith("#"))
    return hashlib.sha256("\n".join(pins).encode()).hexdigest()[:DIGITS]


def differences(expected: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """Return a line for each version that differs; a lock that one side does not know is no difference."""
    names = [name for name in expected if name in found or name != LOCK]
    return [
        f"  {name}: expected {expected[name]}, found {found.get(name, 'none')}"
        for name in names
        if expected[name] != found.get(name, "none")
    ]
