"""`lockstep explain`: what an error's code means, why it happens and what to do, without a network."""

import json
import shutil
import textwrap
from dataclasses import asdict
from difflib import get_close_matches
from typing import Annotated

import typer

from lockstep.cli.examples import examples
from lockstep.cli.options import AsJson
from lockstep.errors.index import FAMILIES, Entry, ErrorsIndex, errors_index

EXAMPLES = examples("lockstep explain", "lockstep explain LS5002", "lockstep explain ModelNotFound --json")
WIDEST = 100
NEAR = 3


def command(
    code: Annotated[
        str | None, typer.Argument(metavar="[CODE]", help="Such as LS5002, 5002 or ModelNotFound; none: list them all.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what an error means, why it happens and what to do. Needs no network."""
    index = errors_index()
    if code is None:
        _list(index, as_json=as_json)
        return
    entry = index.find(code)
    if entry is None:
        raise typer.BadParameter(_unknown(index, code), param_hint="CODE")
    print(json.dumps(_facts(entry)) if as_json else _text(entry))


def _list(index: ErrorsIndex, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps([_facts(entry) for entry in index.entries.values()]))
        return
    for family in FAMILIES.values():
        print(f"{family}\n")
        found = [entry for entry in index.entries.values() if entry.family == family]
        width = max(len(entry.name) for entry in found)
        for entry in found:
            print(f"  {entry.code}  {entry.name:<{width}}  {entry.summary}")
        print()


def _facts(entry: Entry) -> dict[str, str]:
    return {**asdict(entry), "error": entry.name, "family": entry.family}


def _text(entry: Entry) -> str:
    exits = f"A command that meets it ends with exit code {entry.exit}." if entry.exit else ""
    answers = f"The endpoint answers with it: {entry.answers}." if entry.answers else ""
    example = textwrap.indent(entry.example, "  ")
    see = f"More: docs/{entry.see}" if entry.see else ""
    parts = [
        f"{entry.code} {entry.name} ({entry.family})",
        *map(_wrapped, filter(None, (entry.summary, exits + answers))),
        _wrapped(f"Cause: {entry.cause}"),
        f"Example:\n{example}",
        _wrapped(f"Remedy: {entry.remedy}"),
        see,
    ]
    return "\n\n".join(filter(None, parts))


def _wrapped(text: str) -> str:
    return textwrap.fill(text, _width(), break_long_words=False, break_on_hyphens=False)


def _width() -> int:
    return min(WIDEST, shutil.get_terminal_size((WIDEST, 24)).columns)


def _unknown(index: ErrorsIndex, text: str) -> str:
    wanted = text.strip()
    if wanted.upper() in index.retired:
        return f"{wanted.upper()} is retired: {index.retired[wanted.upper()]}"
    by_lower = {word.lower(): word for entry in index.entries.values() for word in (entry.code, entry.name)}
    near = get_close_matches(wanted.lower(), by_lower, n=NEAR, cutoff=0.6)
    hint = f"did you mean {' or '.join(by_lower[word] for word in near)}? " if near else ""
    return f"{wanted!r} is no error's code or name; {hint}`lockstep explain` lists them all."
