"""What the code has is on the pages that are generated from it."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel, Field
from typer.main import get_command

import lockstep.client
from lockstep.cli.examples import lines_of
from lockstep.cli.main import app
from lockstep.cli.parity import OF_SPEC
from lockstep.run.exit_codes import EXIT_CODES, PARITY_DIFFERS, TEMPORARY
from lockstep.specs.serving_spec import Serving
from lockstep.specs.spec import ScoringSpec
from lockstep.specs.variables import OF_THE_PROCESS, VARIABLES
from tools.check_links import slug
from tools.docs import api, commands, fields, variables
from tools.docs.reference import REFERENCE


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return {name: make() for name, make in REFERENCE.items()}


def commands_below(command: Any, path: tuple[str, ...] = ("lockstep",)) -> Iterator[tuple[str, Any]]:
    yield " ".join(path), command
    for name, found in getattr(command, "commands", {}).items():
        if not found.hidden:
            yield from commands_below(found, (*path, commands.BY_SPEC if name == OF_SPEC else name))


def test_every_command_is_there_with_its_options_and_examples(pages: dict[str, str]) -> None:
    sections = dict(re.findall(r"(?ms)^#+ (lockstep[^\n]*)\n(.*?)(?=^#+ |\Z)", pages["commands.md"]))
    found = dict(commands_below(get_command(app)))
    assert list(sections) == list(found)
    assert len(found) > 40
    for name, command in found.items():
        for param in command.params:
            for flag in param.opts if param.param_type_name == "option" else ():
                assert getattr(param, "hidden", False) or flag in sections[name], f"{name} {flag}"
        for line in lines_of(command.epilog):
            assert line in sections[name]


def test_links_between_commands_lead_to_their_sections(pages: dict[str, str]) -> None:
    anchors = {slug(heading) for heading in re.findall(r"(?m)^#+ (.*)$", pages["commands.md"])}
    links = set(re.findall(r"\]\(#([^)]*)\)", pages["commands.md"]))
    assert links
    assert links <= anchors


def test_a_group_with_a_command_for_specs_shows_what_is_typed(pages: dict[str, str]) -> None:
    assert OF_SPEC not in pages["commands.md"]
    assert "lockstep parity SPEC\n" in pages["commands.md"]
    assert "lockstep parity [OPTIONS]" in pages["commands.md"]


def test_exit_codes_are_on_the_page_of_commands(pages: dict[str, str]) -> None:
    (line,) = (line for line in pages["commands.md"].splitlines() if line.startswith("Exit codes:"))
    for code in {code for _, code in EXIT_CODES} | {PARITY_DIFFERS, TEMPORARY}:
        assert re.search(rf"\b{code} ", line), code


@pytest.mark.parametrize(
    ("name", "title", "model"), [("spec.md", "scoring.yaml", ScoringSpec), ("serving.md", "serving.yaml", Serving)]
)
def test_every_field_is_there_in_the_section_of_its_model(
    pages: dict[str, str], name: str, title: str, model: type[BaseModel]
) -> None:
    parts = re.split(r"(?m)^#+ (.*)$", re.sub(r"(?s)```.*?```", "", pages[name]))
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    schema = model.model_json_schema()
    with_fields = {
        title: group for title, group in ({title: schema} | schema["$defs"]).items() if "properties" in group
    }
    assert set(sections) == set(with_fields)
    for section, group in with_fields.items():
        for field in group["properties"]:
            assert f"| `{field}` |" in sections[section], f"{section}.{field}"


@pytest.mark.parametrize(("name", "model"), [("scoring.schema.json", ScoringSpec), ("serving.schema.json", Serving)])
def test_editors_get_the_schema_that_is_checked(pages: dict[str, str], name: str, model: type[BaseModel]) -> None:
    assert json.loads(pages[name]) == model.model_json_schema()
    assert f"$schema={name}" in pages["spec.md" if model is ScoringSpec else "serving.md"]


def test_every_setting_is_there(pages: dict[str, str]) -> None:
    for name in (*(variable.name for variable in VARIABLES), *OF_THE_PROCESS):
        assert pages["settings.md"].count(f"| `{name}` |") == 1
    for variable in VARIABLES:
        assert f"| `{variable.key}` |" in pages["settings.md"]
    assert (
        "| `LOCKSTEP_RUNS` | `runs` | a path, or a URL of an object store | `PROJECT/var/runs` | run folders |"
        in (pages["settings.md"])
    )
    assert "| `LOCKSTEP_AIRFLOW_PORT` | `airflow_port` | a port | `8080` |" in pages["settings.md"]
    assert {variable.kind for variable in VARIABLES} <= set(variables.KINDS)


def test_every_public_name_of_the_client_is_there(pages: dict[str, str]) -> None:
    for name in lockstep.client.__all__:
        assert f"### {name}\n" in pages["python.md"]
    for module in api.MODULES:
        assert f"## {module.path}\n" in pages["python.md"]


def test_signatures_are_as_one_would_write_them(pages: dict[str, str]) -> None:
    assert "ready(model: str | None = None) -> bool" in pages["python.md"]
    assert "predict(\n    rows: Rows,\n    *,\n    model: str | None = None,\n" in pages["python.md"]


def test_names_of_one_line_stay_together(pages: dict[str, str]) -> None:
    assert "- `model, version, digest`: Who." in pages["python.md"]
    assert "- `ConnectionFailed, AnswerTooLate, AnswerInvalid`: " in pages["python.md"]


def test_types_defaults_and_bounds_in_words() -> None:
    class Inner(BaseModel):
        """A group. More than a line of it.

        Not told.
        """

        many: list[int] = Field([], max_length=3, description="Numbers.")

    class Outer(BaseModel):
        inner: Inner
        share: float = Field(0.5, gt=0, le=1, description="Of a|b.")
        text: str | None = Field(None, description="Free.")

    page = fields.reference(Outer, title="outer.yaml", introduction="Words.")
    assert "| `inner` | [Inner](#inner) | **required** | A group. More than a line of it. |" in page
    assert "| `share` | number | `0.5` | Of a\\|b. (more than 0; at most 1) |" in page
    assert "| `text` | text or nothing | – | Free. |" in page
    assert "## Inner\n\nA group. More than a line of it.\n\n" in page
    assert "| `many` | list of whole number | – | Numbers. (at most 3 of them) |" in page


def test_help_texts_bring_no_markdown_of_their_own() -> None:
    text = "Rows [default: 5; x>=1] of <spec>, a*b, but `[as is] <x>`."
    assert commands._inline(text) == r"Rows \[default: 5; x>=1\] of \<spec>, a\*b, but `[as is] <x>`."
