"""Writes docs/mistakes.md: every mistake, made here and now, with what came out. `make mistakes`."""

import re
import sys
import tempfile
import warnings
from pathlib import Path

from newcomers.begin import prepare
from newcomers.commands import Outcome
from newcomers.every import AREAS, every, outcomes
from newcomers.mistake import Mistake
from world import ROOT, World, build_world

PAGE = ROOT / "docs" / "mistakes.md"
INTRODUCTION = """\
# A newcomer's mistakes

{count} mistakes, each made for real by `make mistakes`, with the message that came out; paths are shortened, times and
keys are examples. `tests/integration/test_newcomers.py` makes them again and holds each message to this: it fits on one
screen, says what, where, what was expected and what to do, shows no stack trace and no secret, and has a code that
`lockstep explain` knows. A command line that is refused before anything is looked at ends with exit code 2 and has
none; the doctor lists findings instead; an endpoint answers with a status of HTTP.

{contents}
"""
# What differs from run to run, and how it is shown.
SHOWN = (
    (re.compile(r" +\d+\.\d s  "), "     0.2 s  "),
    (re.compile(r"\b[0-9a-f]{32,64}\b"), "5f1c9e"),
    (re.compile(r"\b[0-9a-f]{16}\b"), "28e44f97"),
    (re.compile(r"with digest [0-9a-f]{12}"), "with digest d1e26347152d"),
    (re.compile(r"process \d+ \(\S+\)"), "process 4711 (python3.11)"),
    (re.compile(r"Python 3\.11\.\d+, \d+ packages"), "Python 3.11.9, 120 packages"),
    (re.compile(r"127\.0\.0\.1:\d{4,5}"), "127.0.0.1:8080"),
    (re.compile(r"127\.0\.0\.1 port \d{4,5}"), "127.0.0.1 port 8080"),
    (re.compile(r"[ \t]+$", re.MULTILINE), ""),
)


def shown(text: str, mistake: Mistake, *, scratch: Path, base: Path) -> str:
    """Return an output as the page has it."""
    for path, short in ((scratch / mistake.key, "var"), (base, "var"), (ROOT, "."), (Path(sys.prefix), ".venv/data")):
        text = text.replace(str(path), short)
    for pattern, instead in SHOWN:
        text = pattern.sub(instead, text)
    return text.strip()


def section(mistake: Mistake, outcome: Outcome, *, scratch: Path, base: Path) -> str:
    """Return the part of one mistake."""
    typed = " ".join(("lockstep", *mistake.command)).replace("{home}", "var").replace("{taken}", "8080")
    typed = typed.replace("{endpoint}", "http://127.0.0.1:8080")
    if mistake.command[0] == "curl":
        typed = "curl 127.0.0.1:8080/invocations ..."
    env = "".join(f"{name}={value.replace('{home}', 'var')} " for name, value in mistake.env.items())
    ends = f"Status {outcome.code}" if mistake.command[0] == "curl" else f"Exit code {outcome.code}"
    text = shown(outcome.text, mistake, scratch=scratch, base=base)
    error = f", [{mistake.error}](errors.md#{mistake.error.lower()})" if mistake.error else ""
    return f"### {mistake.title}\n\n{ends}{error}.\n\n```console\n$ {env}{typed}\n{text}\n```\n"


def page(found: dict[str, Outcome], *, scratch: Path, base: Path) -> str:
    """Return the page."""
    listed = (f"- [{area}](#{area.lower().replace(' ', '-')}): {len(made)}" for area, made in AREAS.items())
    parts = [INTRODUCTION.format(count=len(every()), contents="\n".join(listed))]
    for area, made in AREAS.items():
        parts.append(f"## {area}\n")
        parts += [section(one, found[one.title], scratch=scratch, base=base) for one in made]
    return "\n".join(parts)


def main() -> None:
    """Write the page."""
    with tempfile.TemporaryDirectory(prefix="lockstep-mistakes-") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        base, scratch = Path(folder) / "base", Path(folder) / "scratch"
        base.mkdir()
        scratch.mkdir()
        prepare(build_world(base))
        PAGE.write_text(page(outcomes(World(base), scratch, every()), scratch=scratch, base=base))


if __name__ == "__main__":
    main()
