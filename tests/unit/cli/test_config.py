"""`lockstep config show`: each setting, its value without secrets, and who gave it."""

import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lockstep.cli.config import ConfigShown
from lockstep.cli.main import app
from lockstep.specs.settings_file import layered
from lockstep.specs.variables import VARIABLES


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable in VARIABLES:
        monkeypatch.delenv(variable.name, raising=False)
    monkeypatch.delenv("LOCKSTEP_SETTINGS", raising=False)
    monkeypatch.setenv("LOCKSTEP_PROJECT", str(tmp_path))
    return tmp_path


def shown(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["config", "show", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_origins_are_told(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "lockstep.toml").write_text('home = "state"\nmlflow_tracking_uri = "http://me:hunter2@host:5000"\n')
    monkeypatch.setenv("LOCKSTEP_DEVICE", "cpu")
    lines = shown("--origin").splitlines()
    assert f'home = "{project}/state"  # {project}/lockstep.toml, line 1' in lines
    assert 'device = "cpu"  # environment LOCKSTEP_DEVICE' in lines
    assert f'runs = "{project}/state/runs"  # default' in lines
    assert "hunter2" not in shown("--origin") + shown("--json")


def test_what_is_shown_may_be_a_settings_file(project: Path) -> None:
    (project / "lockstep.toml").write_text('warehouse_wait_s = 5\nonline_store_fast = "redis://host:6379/0"\n')
    before, document = shown(), shown()
    assert tomllib.loads(document)["warehouse_wait_s"] == 5
    (project / "lockstep.toml").write_text(document)
    layered({"LOCKSTEP_PROJECT": str(project)})
    assert [line for line in shown().splitlines() if line[0] != "#"] == [
        line for line in before.splitlines() if line[0] != "#"
    ]


def test_machines_get_every_setting(project: Path) -> None:
    found = ConfigShown.model_validate_json(shown("--json"))
    assert {setting.variable for setting in found.settings} >= {variable.name for variable in VARIABLES}
    assert {setting.origin for setting in found.settings if setting.key} == {"default"}


def test_the_option_names_a_file_for_children_too(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKSTEP_SETTINGS", "")  # so that it is as before, after the test
    (project / "other.toml").write_text("partition_wait_s = 3\n")
    result = CliRunner().invoke(app, ["--settings", str(project / "other.toml"), "config", "show", "--origin"])
    assert f"partition_wait_s = 3  # {project}/other.toml, line 1" in result.stdout


def test_a_file_in_the_current_folder_counts_where_no_project_is_named(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCKSTEP_SETTINGS", "")  # so that it is as before, after the test
    monkeypatch.delenv("LOCKSTEP_SETTINGS")
    here = project / "here"
    here.mkdir()
    (here / "lockstep.toml").write_text("partition_wait_s = 4\n")
    monkeypatch.chdir(here)
    assert "partition_wait_s = 60  # default" in shown("--origin")
    monkeypatch.delenv("LOCKSTEP_PROJECT")
    assert f"partition_wait_s = 4  # {here}/lockstep.toml, line 1" in shown("--origin")
