"""The help of every command ends with commands that can be copied, and the real parser takes them."""

import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lockstep.cli.examples import TITLE, examples, lines_of
from lockstep.cli.main import app
from lockstep.specs.loading import find_spec
from tests.unit.cli.commands import ROOT, commands, parse

COMMANDS = dict(commands())
EXAMPLES = [(path, line) for path, command in COMMANDS.items() for line in lines_of(command.epilog)]
PROJECT = Path(__file__).parents[3]


def arguments_of(line: str) -> list[str]:
    """Return what the shell would give to `lockstep`, without what is piped into it or written by it."""
    (part,) = (part for part in line.split(" | ") if part.startswith("lockstep "))
    words = shlex.split(part)
    return words[1 : words.index(">")] if ">" in words else words[1:]


def test_the_walk_finds_the_commands() -> None:
    assert {"run", "spec validate", "step publish", "parity", "parity replay", "config show"} <= set(COMMANDS)
    assert "serve-worker" not in COMMANDS


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_has_examples_at_the_end_of_its_help(path: str) -> None:
    assert lines_of(COMMANDS[path].epilog), f"`lockstep {path} --help` ends without examples: give it an epilog"
    result = CliRunner().invoke(app, [*path.split(), "--help"])
    assert result.exit_code == 0
    assert TITLE in result.stdout


@pytest.mark.parametrize(("path", "line"), EXAMPLES)
def test_an_example_is_of_its_command_and_the_parser_takes_it(path: str, line: str) -> None:
    arguments = arguments_of(line)
    assert arguments[: len(path.split())] == path.split()
    _, parameters = parse(arguments)
    for parameter in COMMANDS[path].params:
        if parameter.metavar in {"SPEC", "[SPEC]..."} and (given := parameters[parameter.name]):
            for name in [given] if isinstance(given, str) else given:
                find_spec(PROJECT / "models", name)


def test_a_stale_example_would_fail() -> None:
    with pytest.raises(Exception, match="No such option: --dat"):
        parse(["run", "flight_delay", "--dat", "2013-08-01"])
    with pytest.raises(Exception, match="No such command 'rnu'"):
        parse(["rnu"])
    with pytest.raises(Exception, match="Missing parameter"):
        parse(["spec", "show"])


def test_examples_are_read_as_they_are_written() -> None:
    assert lines_of(examples("lockstep up", "lockstep demo")) == ["lockstep up", "lockstep demo"]
    assert lines_of(None) == lines_of("Something else.") == []


def test_the_first_page_says_where_to_begin() -> None:
    assert lines_of(ROOT.epilog)
    for line in lines_of(ROOT.epilog):
        parse(arguments_of(line))
