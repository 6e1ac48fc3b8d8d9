from pathlib import Path

import pytest

from tools import environment
from tools.environment import Environment, Progress, remove_remains, stamp_path


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one lock, in place of this one."""
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "data.lock").write_text("numpy==2.4.6\n")
    (tmp_path / "pyproject.toml").write_text("[build-system]\n[project]\nname='x'\n[tool.setuptools]\n[tool.ruff]\n")
    return tmp_path


def test_stamp_changes_with_lock_and_metadata_only(project: Path) -> None:
    data = Environment("data", "data")
    first = stamp_path(data)
    pyproject = project / "pyproject.toml"
    pyproject.write_text(pyproject.read_text() + "line-length=120\n")
    assert stamp_path(data) == first
    pyproject.write_text(pyproject.read_text().replace("'x'", "'y'"))
    second = stamp_path(data)
    (project / "requirements" / "data.lock").write_text("numpy==2.4.7\n")
    assert len({first, second, stamp_path(data)}) == 3


def test_sound_environment_with_stamp_is_left_alone(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = Environment("data", "data")
    data.home.mkdir(parents=True)
    stamp_path(data).touch()
    monkeypatch.setattr(environment, "is_healthy", lambda _environment: True)
    environment.set_up(data)
    assert capsys.readouterr().out == "data: up to date\n"
    assert (project / ".venv" / ".data.lock").exists()


def test_half_installed_packages_are_removed(tmp_path: Path) -> None:
    for name in ("whole", "half"):
        (tmp_path / f"{name}-1.0.dist-info").mkdir()
        (tmp_path / f"{name}-1.0.dist-info" / "METADATA").touch()
    (tmp_path / "whole-1.0.dist-info" / "RECORD").touch()
    (tmp_path / "~alf").mkdir()
    remove_remains(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["whole-1.0.dist-info"]


def test_progress_counts_packages_once(tmp_path: Path) -> None:
    progress = Progress("data", 3, tmp_path)
    progress.note("Requirement already satisfied: numpy==2.4.6 in ./lib (from -r data.lock (line 1)) (2.4.6)")
    progress.note("Collecting torch==2.13.0 (from -r data.lock (line 2))")
    progress.note("  Downloading torch-2.13.0-cp311-manylinux.whl (190 MB)")
    assert progress.step == "package 2 of 3, downloading torch (190 MB)"
    progress.note("Requirement already satisfied: numpy>=1 in ./lib (from torch)")
    assert progress.seen == {"numpy", "torch"}
    progress.note("Installing collected packages: torch")
    assert progress.step == "installing"
