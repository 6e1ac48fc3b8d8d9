"""What a slip of the pen is answered, and what a shell completes."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from lockstep.cli.completion import complete_profiles, complete_specs
from lockstep.cli.main import app


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["rnu"], "No such command 'rnu'. Did you mean 'run'?"),
        (["spec", "shwo"], "No such command 'shwo'. Did you mean 'show'?"),
        (["run", "x", "--dat", "2013-08-01"], "No such option: --dat (Possible options: --date"),
        (["predict", "u", "--protocol", "htpp"], "'htpp' is not one of"),
    ],
)
def test_a_slip_is_answered_with_what_was_meant(arguments: list[str], told: str) -> None:
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200", "TERMINAL_WIDTH": "200"})
    assert result.exit_code == 2
    assert told in " ".join(result.output.split())


def test_a_shell_completes_specs_and_profiles(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LOCKSTEP_PROJECT", str(tmp_path))
    for file in ("models/churn/scoring.yaml", "models/flights/scoring.yaml", "spark-conf/local.conf"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    assert complete_specs("") == ["churn", "flights"]
    assert complete_specs("ch") == ["churn"]
    assert complete_profiles("l") == ["local"]
    (tmp_path / "lockstep.toml").write_text("hoem = 1")
    assert complete_specs("") == complete_profiles("") == []


def completed(shell: str, line: str, monkeypatch: pytest.MonkeyPatch) -> str:
    instruction = f"complete_{shell}"
    words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1), "_TYPER_COMPLETE_ARGS": line}
    fish = {"_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    env = {
        "_LOCKSTEP_COMPLETE": instruction,
        "_TYPER_COMPLETE_WORD_TO_COMPLETE": line.rsplit(maxsplit=1)[-1],
        **words,
        **fish,
    }
    return CliRunner().invoke(app, [], env=env, prog_name="lockstep").stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_words_of_a_command_line_are_completed(shell: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LOCKSTEP_MODELS", str(tmp_path))
    (tmp_path / "churn").mkdir()
    (tmp_path / "churn" / "scoring.yaml").touch()
    assert "churn" in completed(shell, "lockstep run ch", monkeypatch)
    assert "rollback" in completed(shell, "lockstep rollb", monkeypatch)
