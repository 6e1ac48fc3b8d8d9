"""Every command of the real command line."""

from collections.abc import Iterator
from typing import Any

import typer.main

from lockstep.cli.main import app
from lockstep.cli.parity import OF_SPEC

ROOT: Any = typer.main.get_command(app)


def commands(group: Any = ROOT, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Yield what is typed for each command that is shown, and the command."""
    for name, command in group.commands.items():
        here = path if name == OF_SPEC else (*path, name)
        if command.hidden:
            continue
        if getattr(command, "commands", None) is None:
            yield " ".join(here), command
        else:
            yield from commands(command, here)


def parse(arguments: list[str]) -> tuple[str, dict[str, Any]]:
    """Give arguments to the real parser, run nothing, and return the command's name and its parameters."""
    group, path, context = ROOT, "", ROOT.make_context("lockstep", list(arguments))
    while getattr(group, "commands", None) is not None:
        rest = [*context._protected_args, *context.args]
        name, group, rest = group.resolve_command(context, rest)
        path = f"{path} {name}".strip()
        context = group.make_context(name, rest, parent=context)
    return path, context.params
