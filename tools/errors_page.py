"""Bring the errors index up to date with the classes, and write its page.

By hand are, in `lockstep/errors/index.yaml`, which code has which class, its cause, its remedy and the page to see.
Summary, exit codes, statuses and the example come from the class itself (`tools/error_examples.py`), so that they say
what really happens. `--check` writes nothing and says what differs.
"""

import argparse
import inspect
import sys
from pathlib import Path
from typing import Any

import yaml

from lockstep.errors import LockstepError
from lockstep.errors.index import FAMILIES, PREFIX, Entry
from lockstep.run.exit_codes import TEMPORARY, exit_code
from lockstep.serving.answering import STATUSES
from lockstep.serving.grpc.statuses import code_of
from tools.error_examples import EXAMPLES
from tools.error_examples_endpoint import EXAMPLES as ENDPOINT_EXAMPLES

ROOT = Path(__file__).resolve().parent.parent
INDEX = ROOT / "lockstep" / "errors" / "index.yaml"
PAGE = ROOT / "docs" / "errors.md"
HEADER = """\
# The errors index. By hand: code, error, cause, remedy, see. The rest is filled in by `make errors`, which also writes
# docs/errors.md. A new class takes the next number of its family. A class that goes leaves its code under `retired`.
"""
INTRODUCTION = """\
# Errors

Made by `make errors` from `lockstep/errors/index.yaml`; do not edit.

Every error that Lockstep shows has a code of its own, which never changes and is never given to another. The same texts
are on your machine: `lockstep explain LS5002` (or `lockstep explain ModelNotFound`), and `lockstep explain` alone lists
them all. With `--json` a failing command prints `{"error", "code", "message", "retryable"}`.

The first digit is the family, and the exit code of a command that ends with it. Exit code 75 instead says that the same
command may succeed later with nothing changed; Airflow tries such a task again. Codes LS1... are answers of the
endpoint, whose bodies are those of its protocols: there the message and the status say what is wrong.

| codes | family |
|---|---|
"""


def main() -> int:
    """Write index and page, or compare them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail if anything would change")
    only_check = parser.parse_args().check
    content = yaml.safe_load(INDEX.read_text(encoding="utf-8"))
    content["errors"] = completed(content["errors"])
    texts = {INDEX: HEADER + dump(content), PAGE: page({c: Entry(code=c, **f) for c, f in content["errors"].items()})}
    stale = [path for path, text in texts.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if not only_check:
        for path in stale:
            path.write_text(texts[path], encoding="utf-8")
    verb = "differs from the classes: run `make errors`" if only_check else "written"
    print("\n".join(f"{path.relative_to(ROOT)} {verb}" for path in stale) or f"errors: {len(content['errors'])} agree")
    return 1 if only_check and stale else 0


def examples() -> dict[str, LockstepError]:
    """Return one error of each class, by `module:Class`."""
    return {named(type(error)): error for error in (*EXAMPLES, *ENDPOINT_EXAMPLES)}


def named(kind: type[LockstepError]) -> str:
    """Return the name of a class as the index has it."""
    inside = kind.__module__.startswith("lockstep.errors")
    return f"{'lockstep.errors' if inside else kind.__module__}:{kind.__name__}"


def completed(entries: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the entries in order, with what their classes say of themselves.

    Raises:
        SystemExit: An entry has no class, or no example.
    """
    known, found = examples(), {}
    for code, facts in sorted(entries.items()):
        error = known.get(facts["error"])
        if error is None:
            sys.exit(f"{code}: no example of {facts['error']} in tools/error_examples.py")
        texts = {name: " ".join(str(facts[name]).split()) for name in ("cause", "remedy")}
        own = {"error": facts["error"], "summary": summary(type(error)), **texts, "example": str(error)}
        extra = {"exit": exits(error), "answers": answers(error), "see": facts.get("see", "")}
        found[code] = own | {name: value for name, value in extra.items() if value}
    return found


def summary(kind: type[LockstepError]) -> str:
    """Return the first sentence of a class's docstring, on one line."""
    return " ".join((inspect.getdoc(kind) or "").split("\n\n")[0].split())


def exits(error: LockstepError) -> str:
    """Return with which codes a command ends; none for what only the endpoint answers."""
    if error.code[len(PREFIX)] == "1":
        return ""
    if "retryable" in inspect.signature(type(error).__init__).parameters:
        return f"{error.code[len(PREFIX)]} or {TEMPORARY}"
    return str(exit_code(error))


def answers(error: LockstepError) -> str:
    """Return the statuses of an answer of the endpoint."""
    if error.code[len(PREFIX)] != "1":
        return ""
    status = next((status for kind, status in STATUSES if isinstance(error, kind)), None)
    return "" if status is None else f"HTTP {status}, gRPC {code_of(error).name}"


def dump(content: dict[str, Any]) -> str:
    """Return YAML that people can read: long texts folded, several lines as they are."""

    class Dumper(yaml.SafeDumper):
        pass

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        style = "|" if "\n" in value else ">" if len(value) > 80 else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    return yaml.dump(content, Dumper=Dumper, sort_keys=False, width=116, allow_unicode=True)


def page(entries: dict[str, Entry]) -> str:
    """Return the page."""
    counts = {digit: [e for e in entries.values() if e.family == name] for digit, name in FAMILIES.items()}
    rows = [f"| {found[0].code} – {found[-1].code} | [{FAMILIES[d]}](#{anchor(d)}) |" for d, found in counts.items()]
    parts = [INTRODUCTION + "\n".join(rows)]
    for digit, found in counts.items():
        parts.append(f"## {FAMILIES[digit]}")
        listed = (f"| [{e.code}](#{e.code.lower()}) | {e.name} | {e.summary.replace('|', ' ')} |" for e in found)
        parts.append("\n".join(("| code | error | meaning |", "|---|---|---|", *listed)))
        parts += [section(entry) for entry in found]
    return "\n\n".join(parts) + "\n"


def anchor(digit: str) -> str:
    """Return the anchor of a family's heading."""
    return FAMILIES[digit].lower().replace(" ", "-")


def section(entry: Entry) -> str:
    """Return the part of one error."""
    about = [f"Exit code {entry.exit}." if entry.exit else "", f"{entry.answers}." if entry.answers else ""]
    more = f" See [{entry.see}]({entry.see})." if entry.see else ""
    return "\n\n".join(
        (
            f"### {entry.code}",
            f"**{entry.name}.** {entry.summary} {' '.join(filter(None, about))}".strip(),
            f"**Cause.** {entry.cause}",
            f"**Example.**\n\n```text\n{entry.example}\n```",
            f"**Remedy.** {entry.remedy}{more}",
        )
    )


if __name__ == "__main__":
    sys.exit(main())
