"""The reference of the command line, from the commands themselves: usage, arguments, options, examples, exit codes."""

import inspect
import re
from collections.abc import Iterator
from typing import Any

import typer
from typer.main import get_command

from lockstep.cli.examples import TITLE, lines_of
from lockstep.cli.parity import OF_SPEC
from tools.check_links import slug

# Stands for the command of a group that is meant when the next word is none of its commands.
BY_SPEC = "SPEC"
INTRODUCTION = """\
# Command line

Every command with its arguments and options, as `lockstep COMMAND --help` shows them. Errors are one message with a
code, which [Errors](../errors.md) explains. With `--json` answers are for machines, errors too."""


def reference(app: typer.Typer) -> str:
    """Return the page of a command and all that are below it, hidden ones left out."""
    command: Any = get_command(app)
    return "\n\n".join([INTRODUCTION, *_sections(command, ("lockstep",))]) + "\n"


def _sections(command: Any, path: tuple[str, ...]) -> Iterator[str]:
    context = typer.Context(command, info_name=" ".join(path))
    yield f"{'#' * min(len(path) + 1, 4)} {' '.join(path)}"
    yield _prose(command.help or "")
    typed = [word for word in path if word != BY_SPEC]
    yield f"```text\n{' '.join([*typed, *command.collect_usage_pieces(context)])}\n```"
    for title, name in (("Arguments", "argument"), ("Options", "option")):
        params = [param for param in command.get_params(context) if param.param_type_name == name]
        records = [record for param in params if (record := param.get_help_record(context))]
        if records:
            yield f"{title}:"
            yield "\n".join(f"- `{flag.strip()}`: {_inline(text)}" for flag, text in records)
    yield from _epilog(command.epilog or "")
    shown = {name: found for name, found in getattr(command, "commands", {}).items() if not found.hidden}
    below = {BY_SPEC if name == OF_SPEC else name: found for name, found in shown.items()}
    if below:
        yield "Commands:"
        links = ((f"{' '.join(path)} {name}", _summary(found)) for name, found in below.items())
        yield "\n".join(f"- [`{name}`](#{slug(name)}): {text}" for name, text in links)
    for name, found in below.items():
        yield from _sections(found, (*path, name))


def _summary(command: Any) -> str:
    return _inline(inspect.cleandoc(command.help or "").split("\n\n")[0])


def _prose(text: str) -> str:
    """Return a docstring as Markdown; lines that are set in are commands."""
    return re.sub(r"(?m)^(?: {4}.*\n?)+", lambda found: _code(found.group()), inspect.cleandoc(text.replace("\b", "")))


def _epilog(text: str) -> Iterator[str]:
    """Yield what stands below the options: sentences, then commands to copy."""
    sentences = inspect.cleandoc(text).partition(TITLE)[0]
    if sentences:
        yield _inline(sentences)
    if lines := lines_of(text):
        yield "Examples:\n\n```bash\n" + "\n".join(lines) + "\n```"


def _code(text: str) -> str:
    return f"```text\n{inspect.cleandoc(text)}\n```\n"


def _inline(text: str) -> str:
    """Return text on one line, in which Markdown finds neither HTML nor links outside of code."""
    parts = re.split(r"(`[^`]*`)", " ".join(text.split()))
    return "".join(part if part.startswith("`") else re.sub(r"[<\[\]*|]", r"\\\g<0>", part) for part in parts)
