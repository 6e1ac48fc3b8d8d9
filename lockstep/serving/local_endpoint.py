"""An endpoint of our own for as long as it is needed: `lockstep serve` as a child process on a free port."""

import contextlib
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from lockstep.run.processes import start, stop
from lockstep.run.submit import step_env
from lockstep.serving.errors import EndpointUnavailable
from lockstep.specs.settings import Settings

READY = re.compile(r"ready on (https?://\S+)")
READY_TIMEOUT_S = 180.0
POLL_S = 0.1


@contextlib.contextmanager
def local_endpoint(spec: str, settings: Settings, *, version: int, log: Path) -> Iterator[str]:
    """Serve exactly one version of a spec's model on loopback.

    Args:
        spec: Name of the spec.
        settings: Given on to the child.
        version: Model version.
        log: File for the endpoint's log.

    Yields:
        Its base URL, once it answers.

    Raises:
        EndpointUnavailable: It ended, or was not ready in time; says why.
    """
    command = [sys.executable, "-m", "lockstep", "serve", spec, "--port", "0", "--model-version", str(version)]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as stream:
        child = start(command, env=step_env(settings), stream=stream)
        try:
            deadline = time.monotonic() + READY_TIMEOUT_S
            while (url := ready_url(log)) is None:
                if child.poll() is not None or time.monotonic() > deadline:
                    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
                    problem = f"did not start: {lines[-1] if lines else 'no output'} (log: {log})"
                    raise EndpointUnavailable("loopback", problem=problem)
                time.sleep(POLL_S)
            yield url
        finally:
            stop(child)


def ready_url(log: Path) -> str | None:
    """Return the base URL that an endpoint's log names, or none while it is not ready."""
    found = READY.search(log.read_text(encoding="utf-8", errors="replace"))
    return found.group(1) if found else None
