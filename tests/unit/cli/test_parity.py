"""`lockstep parity SPEC` and `lockstep parity replay` are two commands under one word."""

import pytest
from typer.testing import CliRunner

from lockstep.cli.main import app


def told(*args: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["parity", *args], env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"})
    return done.exit_code, done.output


@pytest.mark.parametrize("args", [("--help",), ("flight_delay", "--help")])
def test_help_is_of_the_comparison_by_day_and_names_the_other(args: tuple[str, ...]) -> None:
    code, text = told(*args)
    assert code == 0
    for word in ("SPEC", "--published", "--date", "lockstep parity replay"):
        assert word in text


def test_replay_has_its_own_help() -> None:
    code, text = told("replay", "--help")
    assert code == 0
    assert "--sample" in text
    assert "--published" not in text


@pytest.mark.parametrize("args", [(), ("--date", "2024-01-01")])
def test_a_missing_spec_is_said(args: tuple[str, ...]) -> None:
    code, text = told(*args)
    assert code == 2
    assert "Missing argument 'SPEC'" in text


def test_options_may_come_before_the_spec() -> None:
    code, text = told("--date", "2024-01-01", "--rows", "0", "flight_delay")
    assert code == 2
    assert "--rows" in text
