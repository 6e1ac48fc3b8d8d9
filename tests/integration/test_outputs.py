"""What commands print with `--json` is what docs/json/ says, for a real day."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from newcomers.begin import write_clients
from newcomers.commands import Commands, environ_of
from world import World

from lockstep.cli.outputs import outputs

DAY = "2024-01-04"


@pytest.fixture(scope="module")
def commands(world: World) -> Iterator[Commands]:
    """Runs commands in no time."""
    write_clients(world)
    with Commands(world) as running:
        yield running


@pytest.fixture(scope="module")
def folder(world: World, commands: Commands) -> str:
    """The run folder of a day that is live."""
    return str(validated(world, commands, "run", f"run clients --date {DAY}")["run_folder"])


def validated(world: World, commands: Commands, command: str, line: str, *, code: int = 0) -> Any:
    """Run a command, hold the last line that is a document to its schema, and return it."""
    done = commands.run([*line.split(), "--json"], environ_of(world))
    assert done.code == code, done.text
    text = [each for each in done.text.splitlines() if each.startswith(("{", "["))][-1]
    outputs()[command].validate_json(text)
    return json.loads(text)


@pytest.mark.parametrize(
    "line",
    [
        f"run clients --date {DAY}",
        "run clients --date 2024-01-05 --dry-run",
        f"check clients --date {DAY} --no-endpoint",
        "init churn {data} --name mine",
        "history clients_scores",
        "diff {folder} {folder}",
        "vacuum clients --dry-run",
        f"step plan clients --date {DAY}",
        "model resolve clients",
        "model promote clients --model 1 --dry-run",
        "report table clients_scores",
        "report refresh clients",
        "doctor settings java mlflow warehouse",
    ],
)
def test_a_document_is_as_its_schema_says(world: World, commands: Commands, folder: str, line: str) -> None:
    words = line.split()
    command = " ".join(words[:2]) if " ".join(words[:2]) in outputs() else words[0]
    found = validated(
        world,
        commands,
        command,
        line.replace("{folder}", folder).replace("{data}", str(world.home / "data" / "customers")),
    )
    assert found


def test_so_is_a_failure(world: World, commands: Commands, folder: str) -> None:
    assert folder
    found = validated(world, commands, "failure", "run clients --date 2031-01-01", code=6)
    assert found["code"] == "LS6008"
