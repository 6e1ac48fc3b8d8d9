"""What protects an endpoint, with its files in a folder, started and stopped."""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lockstep.serving.security.api_keys import entry_text, new_api_key
from lockstep.serving.security.assembly import Security, build_security
from lockstep.specs.serving_security import ServingSecurity
from tests.unit.serving.security.issuers import authority, issued

KEY, ENTRY = new_api_key("by-key", models=["churn"])
TLS = {"certificate": "server.pem", "key": "server.key"}
MTLS = {"ca": "ca.pem", "clients": [{"name": "batch", "models": "churn", "uri": "spiffe://example/batch"}]}


def write_files(folder: Path) -> Path:
    """Write the files that the sections above name."""
    (folder / "keys.yaml").write_text("keys:\n" + entry_text(ENTRY))
    (folder / "ca.pem").write_bytes(authority("clients").pem())
    issued("ca", "server", server=True).write(folder, "server")
    return folder


@contextlib.contextmanager
def started(folder: Path, **facts: Any) -> Iterator[Security]:
    security = build_security(ServingSecurity.model_validate(facts), folder=folder)
    security.start()
    try:
        yield security
    finally:
        security.close()


def until(condition: Callable[[], bool], *, timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)
