"""How commands are run: each in a process of its own, forked where that is safe from one that has imported all."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from world import ROOT, World

LONGEST_S = 120
# Nothing to read, and both outputs in one.
MERGED: Any = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}


@dataclass(frozen=True)
class Outcome:
    """What a command ended with, and all that it said."""

    code: int
    text: str


class Commands:
    """Runs `lockstep`, side by side if need be; a context.

    Args:
        world: Its environment is that of the process which imports.
    """

    def __init__(self, world: World) -> None:
        self._environ = environ_of(world)
        self._scratch = tempfile.TemporaryDirectory(prefix="lockstep-newcomers-")
        self._ready: subprocess.Popen[str] | None = None
        self._count = 0

    def __enter__(self) -> "Commands":
        """Start the process that forks."""
        if sys.platform == "linux":  # elsewhere libraries do not survive a fork
            self._ready = subprocess.Popen(
                [sys.executable, "-m", "newcomers.ready"],
                env={**self._environ, "PYTHONPATH": f"{ROOT}:{Path(__file__).parents[1]}", "OPENBLAS_NUM_THREADS": "1"},
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            assert self._ready.stdout is not None
            assert self._ready.stdout.readline() == "ready\n"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        if self._ready is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._ready.pid, signal.SIGKILL)  # and a command that would never end
            self._ready.communicate()
        self._scratch.cleanup()

    def run(self, arguments: Sequence[str], environ: Mapping[str, str], *, hide: Sequence[str] = ()) -> Outcome:
        """Run a command to its end.

        Args:
            arguments: What is typed after `lockstep`.
            environ: Its environment.
            hide: Shell commands before it, in a mount namespace of its own: what they hide is hidden from it alone.
        """
        if self._ready is None:
            line = [sys.executable, "-m", "lockstep", *arguments]
            done = subprocess.run(line, env=dict(environ), cwd=ROOT, **MERGED, timeout=LONGEST_S, check=False)
            return Outcome(done.returncode, done.stdout)
        assert self._ready.stdin is not None
        self._count += 1
        out, code = (Path(self._scratch.name) / f"{self._count}.{part}" for part in ("out", "code"))
        asked = {"arguments": list(arguments), "environ": dict(environ), "hide": list(hide)}
        self._ready.stdin.write(json.dumps({**asked, "out": str(out), "code": str(code)}) + "\n")
        self._ready.stdin.flush()
        deadline = time.monotonic() + LONGEST_S
        while not code.exists():
            assert time.monotonic() < deadline, f"{arguments}: {out.read_text()}"
            time.sleep(0.02)
        return Outcome(int(code.read_text()), out.read_text())


def environ_of(world: World) -> dict[str, str]:
    """Return the environment of a command: an output of the same width everywhere."""
    return {**world.env, "COLUMNS": "100", "TERMINAL_WIDTH": "100"}
