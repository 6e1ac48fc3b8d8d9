"""Run a page of docs/tutorials as its reader does: files are written, commands run, what they print is compared.

- ```` ```python title="begin.py" ````, and any other language with a title: the file is written.
- ```` ```bash ````: run by `bash`, which stops at the first command that fails. Variables and the current folder last
  until the end of the page; so do processes in the background.
- ```` ```text ````: what the commands before it have printed, where `…` is anything and other lines may come between.
"""

import os
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from sybil import Document, Example, Region, Sybil
from sybil.parsers.markdown.lexers import FencedCodeBlockLexer

TITLE = re.compile(r'(\w+) title="([\w./-]+)"')
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# Sourced first, written last: what a shell knows goes from block to block.
KEPT = """\
set -a; [ ! -f {state} ] || . {state}
{block}
{{ declare -p | grep -v "^declare -[a-zA-Z]*r"; echo "cd $(printf %q "$PWD")"; }} > {state}
"""
TIMEOUT_S = 300


@dataclass
class Reader:
    """Somebody who does what a page says, in a folder.

    Attributes:
        folder: Where the page begins.
        state: File beside it, for the shell.
        env: Environment of the first command.
    """

    folder: Path
    state: Path
    env: dict[str, str]
    printed: str = ""
    _groups: list[int] = field(default_factory=list)

    def read(self, page: Path) -> None:
        """Do what a page says, block after block.

        Raises:
            AssertionError: A command fails, or prints something else.
        """
        for example in Sybil(parsers=[self._blocks]).parse(page).examples():
            example.evaluate()

    def stop(self) -> None:
        """End what is in the background."""
        for group in self._groups:
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)

    def _blocks(self, document: Document) -> Iterator[Region]:
        for region in FencedCodeBlockLexer(".*")(document):
            region.parsed, region.evaluator = region.lexemes["source"], self._block
            yield region

    def _block(self, example: Example) -> None:
        language, text = example.region.lexemes["language"], str(example.parsed)
        place = f"{Path(example.path).name}, line {example.line}"
        if titled := TITLE.fullmatch(language):
            file = self.folder / titled[2]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        elif language == "bash":
            self._run(text, place=place)
        elif language == "text":
            self._compare(text, place=place)
        else:
            raise AssertionError(f"{place}: a block of {language!r} is neither run, written nor compared")

    def _run(self, block: str, *, place: str) -> None:
        script = KEPT.format(state=shlex.quote(str(self.state)), block=block)
        process = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._groups.append(process.pid)
        try:
            printed, _ = process.communicate(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"{place}: not done after {TIMEOUT_S} s:\n{block}\n{error.output}") from error
        self.printed = COLOUR.sub("", printed)
        assert process.returncode == 0, f"{place}: exit code {process.returncode}:\n{block}\n{self.printed}"

    def _compare(self, text: str, *, place: str) -> None:
        lines = iter([" ".join(line.split()) for line in self.printed.splitlines()])
        for wanted in filter(None, (" ".join(line.split()) for line in text.splitlines())):
            pattern = re.compile(".*".join(re.escape(part.strip()) for part in wanted.split("…")))
            found = any(pattern.fullmatch(line) for line in lines)
            assert found, f"{place}: this was not printed: {wanted}\nbut:\n{self.printed}"
