"""The archive of this code: its wheel, under a name that follows from its modules."""

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from lockstep.errors import PackagingFailed
from lockstep.run.versions import PACKAGES, code_digest
from lockstep.specs.settings import Settings

# What a wheel is made of.
SOURCES = (*PACKAGES, "requirements", "pyproject.toml", "README.md", "LICENSE")
BUILD_TIMEOUT_S = 300


def build_code(settings: Settings, target: Path) -> None:
    """Write the wheel of `lockstep` and `udfs` as a `.zip`, which Spark unpacks; it appears whole or not at all.

    Raises:
        PackagingFailed: This is no checkout, or the wheel does not hold its modules.
    """
    root = settings.project_root
    missing = [name for name in SOURCES if not (root / name).exists()]
    if missing:
        problem = f"{root} has no {', '.join(missing)}"
        raise PackagingFailed(
            "the code",
            problem=problem,
            to_do="Run `lockstep package` in a checkout of the repository, or name one in LOCKSTEP_PROJECT.",
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".packing-") as scratch:
        wheel = _build_wheel(root, Path(scratch))
        with zipfile.ZipFile(wheel) as packed:
            packed.extractall(Path(scratch) / "unpacked")
        expected, got = code_digest(root), code_digest(Path(scratch) / "unpacked")
        if expected != got:
            problem = f"its wheel holds other modules: expected digest {expected}, got {got}"
            to_do = "Was a module changed just now? Try again; else mend [tool.setuptools] in pyproject.toml."
            raise PackagingFailed("the code", problem=problem, to_do=to_do)
        wheel.replace(target)


def _build_wheel(root: Path, scratch: Path) -> Path:
    """Build in a copy: setuptools writes beside the sources."""
    copy = scratch / "source"
    copy.mkdir()
    for name in SOURCES:
        if (root / name).is_dir():
            shutil.copytree(root / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copyfile(root / name, copy / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    answer = subprocess.run(
        [*command, "--disable-pip-version-check", "--wheel-dir", str(scratch / "wheel"), str(copy)],
        capture_output=True,
        text=True,
        check=False,
        timeout=BUILD_TIMEOUT_S,
    )
    wheels = list((scratch / "wheel").glob("*.whl"))
    if answer.returncode != 0 or len(wheels) != 1:
        last = (answer.stderr.strip().splitlines() or ["no output"])[-1]
        raise PackagingFailed("the code", problem=f"pip built no wheel: {last}", to_do="Run `make setup-data` first.")
    return wheels[0]
