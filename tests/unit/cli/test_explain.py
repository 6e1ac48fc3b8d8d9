"""`lockstep explain` needs neither a network nor the class that it explains."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from lockstep.cli.main import app
from lockstep.errors.index import errors_index


def explain(*args: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["explain", *args], env={"COLUMNS": "300"})
    return result.exit_code, result.output


@pytest.mark.parametrize("word", ["LS5002", "ls5002", "5002", "ModelNotFound", "modelnotfound"])
def test_finds_a_code_in_every_way_people_write_it(word: str) -> None:
    code, text = explain(word)
    assert code == 0
    assert text.startswith("LS5002 ModelNotFound (Model registry)\n")
    entry = errors_index().entries["LS5002"]
    said = " ".join(text.split())
    assert all(part in said for part in (entry.cause, entry.example, entry.remedy, "exit code 5", "docs/models.md"))


@pytest.mark.parametrize(("word", "near"), [("ModelNotFond", "ModelNotFound"), ("LS50022", "LS5002")])
def test_an_unknown_code_is_a_usage_error_that_names_the_nearest(word: str, near: str) -> None:
    code, text = explain(word)
    assert code == 2
    assert "no error's code or name" in text
    assert near in text


def test_what_is_nothing_like_a_code_gets_no_guess() -> None:
    code, text = explain("????????????")
    assert (code, "did you mean" in text) == (2, False)


def test_without_a_code_all_are_listed() -> None:
    code, text = explain()
    assert code == 0
    for entry in errors_index().entries.values():
        assert f"{entry.code}  {entry.name}" in text


def test_json_is_for_machines() -> None:
    _, text = explain("LS8003", "--json")
    facts = json.loads(text)
    assert (facts["code"], facts["error"], facts["exit"]) == ("LS8003", "WarehouseLocked", "75")
    _, text = explain("--json")
    assert [entry["code"] for entry in json.loads(text)] == list(errors_index().entries)


def test_it_is_quick_to_start() -> None:
    code = (
        "import sys; from lockstep.cli.main import app; app(['explain', 'LS4034'], standalone_mode=False); "
        "sys.exit('lockstep.client.errors' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0
