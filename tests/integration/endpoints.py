"""A running `lockstep serve` for the tests of endpoint and parity."""

import contextlib
import http.client
import json
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from world import ROOT, World

from lockstep.serving.local_endpoint import ready_url

JSON = {"Content-Type": "application/json"}
START_S = 90.0


@dataclass
class Endpoint:
    """A running `lockstep serve`."""

    process: "subprocess.Popen[bytes]"
    url: str
    log: Path

    @property
    def address(self) -> tuple[str, int]:
        parsed = urlparse(self.url)
        return str(parsed.hostname), int(parsed.port or 0)

    def ask(self, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, Any, Any]:
        """Send one request; return status, headers and the JSON or text of the body."""
        connection = http.client.HTTPConnection(*self.address, timeout=30)
        with contextlib.closing(connection):
            content = json.dumps(body) if isinstance(body, dict) else body
            connection.request("GET" if body is None else "POST", path, content, headers or (JSON if content else {}))
            response = connection.getresponse()
            text = response.read().decode()
            kind = response.getheader("content-type") or ""
            return response.status, response.headers, json.loads(text) if "json" in kind and text != "\n" else text

    def stop(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(40)


@contextlib.contextmanager
def serving(world: World, *args: str, spec: str | None = "churn") -> Iterator[Endpoint]:
    """Run `lockstep serve`, of a spec or with a `--config`, on a free port until the block ends."""
    log = world.home / f"serve-{time.monotonic_ns()}.log"
    command = world.command("serve", *([spec] if spec else []), "--port", "0", *args)
    with log.open("wb") as stream:
        process = subprocess.Popen(command, env=world.env, cwd=ROOT, stdout=stream, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + START_S
        while (url := ready_url(log)) is None:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield Endpoint(process, url, log)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
