"""A system as the harness sees it: a process that is told to do the job again and again, or once from nothing."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil

from benchmarks.job import ROOT, Job, environment
from benchmarks.systems.system import SYSTEMS

POLL_S = 0.02
PARQUET_MAGIC_BYTES = 4
END_S = 30.0


class ContestantFailed(Exception):
    """A system raised, died or took too long."""


@dataclass(frozen=True)
class ColdRun:
    """Times of a run from nothing, in seconds since its start."""

    first_row_s: float
    end_s: float
    written: Path


class Contestant:
    """A live system; its workers stay warm between runs."""

    def __init__(
        self,
        job: Job,
        system: str,
        *,
        variant: str,
        log: Path,
        timeout_s: float,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.system, self.variant = system, variant
        self._timeout_s = timeout_s
        self._log = log.open("ab")
        self._process = subprocess.Popen(
            command("serve", job, system, variant=variant),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            cwd=ROOT,
            env=environment({**SYSTEMS[system].variants[variant], **(variables or {})}),
            start_new_session=True,
        )
        self._unread = b""

    @property
    def pid(self) -> int:
        """The root of its processes."""
        return self._process.pid

    def wait_started(self) -> None:
        """Wait until the session, pool or cluster is up."""
        self._answer()

    def run(self, output: Path) -> tuple[float, Path]:
        """Do the whole job; return the seconds it took and the folder of its Parquet files."""
        if self._process.stdin is None:
            raise ContestantFailed("it takes no commands")
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(f"{output}\n".encode())
            self._process.stdin.flush()
        told = self._answer()
        return float(told["seconds"]), Path(told["written"])

    def close(self) -> None:
        """Ask it to end, then end whatever is left of it."""
        family = descendants(self.pid)
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(END_S)
        end_all([*family, *descendants(self.pid)])
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._log.close()

    def _answer(self) -> dict[str, Any]:
        if self._process.stdout is None:
            raise ContestantFailed("it does not answer")
        line = self._read_line(self._process.stdout)
        told: dict[str, Any] = json.loads(line)
        if "error" in told:
            raise ContestantFailed(told["error"])
        return told

    def _read_line(self, stream: IO[bytes]) -> bytes:
        deadline = time.monotonic() + self._timeout_s
        while b"\n" not in self._unread:
            ready, _, _ = select.select([stream], [], [], max(deadline - time.monotonic(), 0))
            if not ready:
                raise ContestantFailed(f"no answer within {self._timeout_s:.0f} s")
            read = os.read(stream.fileno(), 65_536)
            if not read:
                raise ContestantFailed(f"its process ended with code {self._process.wait()}")
            self._unread += read
        line, self._unread = self._unread.split(b"\n", 1)
        return line


def command(action: str, job: Job, system: str, *, variant: str, output: Path | None = None) -> list[str]:
    """Return the command line of `benchmarks.worker`."""
    target = [str(output)] if output else []
    return [
        *(sys.executable, "-m", "benchmarks.worker", action, *target),
        *("--system", system, "--variant", variant, "--job", job.to_json()),
    ]


def run_cold(job: Job, system: str, *, variant: str, output: Path, log: Path, timeout_s: float) -> ColdRun:
    """Run the job in a fresh process tree and watch for the first rows on disk."""
    variables = environment(SYSTEMS[system].variants[variant])
    with log.open("ab") as out:
        ask = command("submission", job, system, variant=variant, output=output)
        asked = subprocess.run(ask, stdout=subprocess.PIPE, stderr=out, cwd=ROOT, env=variables, check=False)
        if asked.returncode != 0:
            raise ContestantFailed(f"its preparation ended with code {asked.returncode}")
        told = json.loads(asked.stdout)
        written, first = Path(told["written"]), 0.0
        began = time.perf_counter()
        process = subprocess.Popen(
            told["command"], stdout=out, stderr=out, cwd=ROOT, env={**variables, **told["environment"]},
            start_new_session=True,
        )  # fmt: skip
        try:
            while process.poll() is None and time.perf_counter() - began < timeout_s:
                if not first and has_rows(written):
                    first = time.perf_counter() - began
                time.sleep(POLL_S)
            ended = time.perf_counter() - began
        finally:
            end_all(descendants(process.pid))
        if process.wait() != 0:
            raise ContestantFailed(f"its process ended with code {process.returncode} after {ended:.0f} s")
    return ColdRun(first or ended, ended, written)


def has_rows(folder: Path) -> bool:
    """Whether a Parquet file below a folder, finished or not, holds more than its first bytes."""
    with contextlib.suppress(OSError):
        return any(p.stat().st_size > PARQUET_MAGIC_BYTES for p in folder.rglob("*.parquet"))
    return False


def descendants(pid: int) -> list[psutil.Process]:
    """Return a process and all below it."""
    with contextlib.suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    return []


def end_all(processes: list[psutil.Process]) -> None:
    """Kill processes that are still the ones we knew."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)
    psutil.wait_procs(processes, timeout=END_S)
