"""Environments in which only the built wheel holds our code, with what the locks have beside it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).parents[2]
PIP = ("-m", "pip", "--disable-pip-version-check")
# Of this repository's own installation, which is editable and would be found as well.
OURS = ("lockstep", "__editable__", "__pycache__")


def made(name: Literal["control", "data"]) -> Path:
    """Return the place of an environment of this repository."""
    return ROOT / ".venv" / name


def build_wheel(folder: Path) -> Path:
    """Build the wheel of this tree, from a copy that is gone afterwards."""
    source = folder / "source"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(".*", "var", "build", "*.egg-info", "tests", "docs"))
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([sys.executable, *PIP, "wheel", *options, "-w", folder / "dist", source], check=True, timeout=120)
    shutil.rmtree(source)
    (wheel,) = (folder / "dist").glob("*.whl")
    return wheel


def install_beside(name: Literal["control", "data"], home: Path, *, wheel: Path) -> Path:
    """Make an environment that has what one of ours has, but `lockstep` by the wheel; return its interpreter.

    What is locked is linked, not installed: that would take minutes.
    """
    subprocess.run([sys.executable, "-m", "venv", home], check=True, timeout=60)
    packages, locked = packages_of(home), packages_of(made(name))
    for entry in locked.iterdir():
        if not entry.name.startswith(OURS) and entry.suffix != ".pth" and not (packages / entry.name).exists():
            (packages / entry.name).symlink_to(entry)
    for script in made(name).joinpath("bin").glob("*spark*"):
        shutil.copy(script, home / "bin")  # `spark-submit` finds Spark by the interpreter that it is told
    python = home / "bin" / "python"
    command = [python, *PIP, "install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run(command, check=True, timeout=60, env={"PATH": os.environ["PATH"]})
    return python


def clean_env(home: Path, **more: str) -> dict[str, str]:
    """Return variables of a shell in which an environment is active and nothing points to this repository."""
    path = os.pathsep.join([str(home / "bin"), "/usr/local/bin", "/usr/bin", "/bin"])
    kept = {name: value for name, value in os.environ.items() if name in {"JAVA_HOME", "HOME", "LANG", "TMPDIR"}}
    return {**kept, "PATH": path, "MLFLOW_DISABLE_TELEMETRY": "true", **more}


def packages_of(home: Path) -> Path:
    """Return the folder that an environment's packages are in."""
    return home / "lib" / "python3.11" / "site-packages"
