"""Programs that check `deploy/`: linters and validators of their own environment, run as children."""

import os
import platform
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from tools.deploy_tools import HOME, ROOT, find, remedy

DEPLOY = ROOT / "deploy"


def linter(name: str) -> Path:
    """A program of requirements/deploy.lock; it has to be there."""
    program = HOME / "bin" / name
    assert program.is_file(), f"{name} is missing: run `make setup-deploy`"
    return program


def found(name: str) -> Path:
    """Helm, promtool or amtool; skips the test where there is none."""
    program = find(name, os.environ, home=HOME)
    if program is None:
        pytest.skip(f"no {name} on this {platform.system()} ({platform.machine()}): {remedy(name)}")
    return program


def run(command: Sequence[Path | str], *, given: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, in the root of the repository, away from everybody's settings."""
    with tempfile.TemporaryDirectory() as home:
        return subprocess.run(
            [str(part) for part in command],
            input=given, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False,
            env={"PATH": os.environ["PATH"], "HOME": home},
        )  # fmt: skip


def passes(command: Sequence[Path | str], *, given: str | None = None) -> str:
    """Run a program that has to find nothing; its words are the reason when it does."""
    done = run(command, given=given)
    assert done.returncode == 0, f"{command[0]} found:\n{done.stdout}{done.stderr}"
    return done.stdout
