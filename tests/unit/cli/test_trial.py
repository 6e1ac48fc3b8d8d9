import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lockstep.cli.main import app
from lockstep.run.folder import COMPARISON
from lockstep.steps.compare import compare
from tests.unit.steps.runs import DAY, make_settings, make_spec
from tests.unit.steps.trials import NEXT, TRIAL, make_trial


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOCKSTEP_HOME", str(tmp_path))
    monkeypatch.setenv("LOCKSTEP_MODELS", str(tmp_path / "models"))
    monkeypatch.delenv("LOCKSTEP_RUNS", raising=False)
    return tmp_path


def run(*args: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["trial", "show", "parcels", *args], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.output


def test_it_shows_the_run_that_was_compared_last(home: Path) -> None:
    folder = make_trial(home)
    compare(folder, make_settings(home))
    text = run()
    for word in (f"parcels {DAY}", "next", "0.4250", "largest shifts", "depot", "against version 1"):
        assert word in text
    assert "largest shifts" not in run("--limit", "0")
    older = folder.path.with_name("0123456789abcdef")
    copy = older / "challengers" / NEXT / COMPARISON
    copy.parent.mkdir(parents=True)
    told = json.loads(folder.challenger(NEXT).file(COMPARISON).read_text())
    copy.write_text(json.dumps({**told, "version": 1}))
    os.utime(copy, (1, 1))
    assert json.loads(run("--json"))[0]["version"] == 2
    earlier = folder.path.parents[1] / "2024-03-04" / "k" / "challengers" / NEXT / COMPARISON
    earlier.parent.mkdir(parents=True)
    earlier.write_text(json.dumps({**told, "version": 7}))
    assert json.loads(run("--json"))[0]["version"] == 2, "the latest day"
    assert json.loads(run("--json", "--date", "2024-03-04"))[0]["version"] == 7


def test_days_without_a_comparison_are_said_to_be(home: Path) -> None:
    make_spec(home, trial=TRIAL)
    assert "has compared challengers" in " ".join(run(code=2).replace("│", " ").split())
