"""A program of this folder that answers each line on its standard input with a line."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]


class LineChild:
    """A child process that takes orders line by line."""

    def __init__(self, module: str, *args: str, env: Mapping[str, str], log: Path) -> None:
        self.log = log
        with log.open("wb") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-m", f"tests.integration.{module}", *args],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stream,
                text=True,
                bufsize=1,
                env={**os.environ, **env},
                cwd=ROOT,
            )

    def tell(self, line: str) -> None:
        """Give an order."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")

    def answer(self) -> str:
        """Wait for a line."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.log.read_text()[-4000:]
        return line.strip()

    def close(self) -> None:
        """End it."""
        with self.process:
            assert self.process.stdin is not None
            self.process.stdin.close()
            try:
                self.process.wait(60)
            finally:
                self.process.kill()
