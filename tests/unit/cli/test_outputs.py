"""JSON Schemas of what commands print are those of the code, and of real commands."""

import json
import re

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from lockstep.cli.main import app
from lockstep.cli.outputs import outputs
from tests.unit.cli.commands import commands
from tools.commands_page import PAGE, SCHEMAS, schemas


def test_the_schemas_in_docs_are_those_of_the_code() -> None:
    found = {path: path.read_text(encoding="utf-8") for path in SCHEMAS.glob("*.json")}
    assert found == schemas(), "run `make errors`"


def test_each_is_of_a_command_that_has_json_and_is_on_the_page() -> None:
    with_json = {path for path, command in commands() if any("--json" in option.opts for option in command.params)}
    page = PAGE.read_text(encoding="utf-8")
    assert set(outputs()) - {"failure"} <= with_json
    assert set(outputs()) <= {*re.findall(r"`([^`]+)`", page), "failure"}


@pytest.mark.parametrize(
    ("command", "arguments"),
    [("explain", []), ("explain", ["LS5002"]), ("config show", []), ("doctor", ["locale", "settings"])],
)
def test_what_needs_no_world_prints_what_its_schema_says(command: str, arguments: list[str]) -> None:
    result = CliRunner().invoke(app, [*command.split(), *arguments, "--json"])
    outputs()[command].validate_json(result.stdout)


def test_a_key_that_is_renamed_would_be_noticed() -> None:
    facts = {"error": "ModelNotFound", "code": "LS5002", "message": "x", "retryable": False}
    outputs()["failure"].validate_json(json.dumps(facts))
    with pytest.raises(ValidationError):
        outputs()["failure"].validate_json(json.dumps({**facts, "kind": facts.pop("error")}))
