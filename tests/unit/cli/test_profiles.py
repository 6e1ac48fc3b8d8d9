"""`--profile` and `lockstep profile`."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lockstep.cli.main import app
from lockstep.cli.options import spark_settings
from lockstep.errors import ProfileInvalid, ProfileUnknown
from lockstep.run.profiles import read_profile

SPARK_COMMANDS = [
    ["run", "flight_delay", "--date", "2013-08-01"],
    ["step", "materialize", "--run-folder", "x"],
    ["step", "score", "--run-folder", "x"],
    ["step", "gate", "--run-folder", "x"],
    ["step", "audit", "--run-folder", "x"],
    ["parity", "replay"],
]


def refused(*arguments: str) -> Any:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code != 0
    return result.exception


@pytest.mark.parametrize("command", SPARK_COMMANDS, ids=lambda command: " ".join(command[:2]))
def test_commands_that_start_spark_take_profiles(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOCKSTEP_HOME", str(tmp_path))
    error = refused(*command, "--profile", "standalone", "--profile", "nobody")
    assert isinstance(error, ProfileUnknown)
    assert "'nobody'" in str(error)


def test_the_command_line_goes_before_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKSTEP_SPARK_PROFILE", "yarn")
    assert spark_settings(None).spark_profile == "yarn"
    assert spark_settings(["standalone", "gpu"]).spark_profile == "standalone,gpu"
    monkeypatch.setenv("LOCKSTEP_SPARK_PROFILE", "gpu")
    with pytest.raises(ProfileInvalid, match="names a cluster"):
        spark_settings(None)


def test_merged_properties_are_printed_as_a_file_for_spark(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["profile", "standalone", "gpu"])
    assert result.exit_code == 0
    (tmp_path / "merged.conf").write_text(result.stdout)
    merged = read_profile(tmp_path / "merged.conf")
    assert (merged["spark.task.cpus"], merged["spark.speculation"]) == ("4", "true")
    assert isinstance(refused("profile", "gpu"), ProfileInvalid)
