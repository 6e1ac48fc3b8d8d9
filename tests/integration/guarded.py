"""What protects an endpoint, with its files in a folder; and an endpoint of a toy model on a real port."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lockstep.scoring.scorer import Scorer
from lockstep.serving.app import Application
from lockstep.serving.connection import ConnectionBounds
from lockstep.serving.data_plane import DataPlane, Limits
from lockstep.serving.exchange import Exchange, Reply
from lockstep.serving.fleet import Fleet, ModelSlot
from lockstep.serving.lane import ScoringLane
from lockstep.serving.listening import Listener
from lockstep.serving.metrics import Metrics
from lockstep.serving.router import Route
from lockstep.serving.security.api_keys import entry_text, new_api_key
from lockstep.serving.security.assembly import Security, build_security
from lockstep.serving.server import bind
from lockstep.serving.versions import LoadedVersion
from lockstep.specs.serving_security import ServingSecurity
from tests.unit.serving.security.issuers import authority, issued
from tests.unit.serving.toy import BLOCK_ROWS, IDENTITY, SIGNATURE, ToyBackend, app_of

LARGE_BYTES = 64 * 2**20
BATCH = issued("clients", uris=["spiffe://example/batch"])
OTHER = issued("clients", uris=["spiffe://example/other"])
STRANGER = issued("others", uris=["spiffe://example/batch"])
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


async def who(exchange: Exchange) -> Reply:
    """Answer with the client's name."""
    return Reply(200, exchange.trace.client.encode(), "text/plain")


async def slow(_: Exchange) -> Reply:
    """Answer after a while."""
    await asyncio.sleep(3)
    return Reply(200, b"done", "text/plain")


async def large(_: Exchange) -> Reply:
    """Answer with more than a connection holds."""
    return Reply(200, bytes(LARGE_BYTES), "text/plain")


ROUTES = (
    Route("GET", "/models/{name}/who", who, action="infer"),
    Route("GET", "/slow", slow),
    Route("GET", "/large", large),
)


class Served:
    """A toy model, served as `churn` by a thread until the block ends.

    Attributes:
        port: Where.
        plane: What answers.
    """

    def __init__(
        self, security: Security | None = None, *, limits: Limits | None = None, bounds: ConnectionBounds | None = None
    ) -> None:
        self._bounds = bounds or ConnectionBounds()
        self._sock = bind("127.0.0.1", 0)
        self.port: int = self._sock.getsockname()[1]
        scorer = Scorer(ToyBackend(), SIGNATURE, block_rows=BLOCK_ROWS)
        version = LoadedVersion(IDENTITY.model_copy(update={"name": "churn"}), scorer, ScoringLane(scorer))
        self.plane = DataPlane(
            Fleet([ModelSlot("churn", current=version)]), metrics=Metrics(), limits=limits or Limits()
        )
        self._app: Application = app_of(self.plane, *ROUTES, security=security)
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._up = threading.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._run()))

    async def _run(self) -> None:
        security = self._app.security
        tls = None if security is None else security.tls
        listener = Listener(self._sock, self._app, bounds=self._bounds, tls=tls)
        self._app.start()
        listener.start()
        self._up.set()
        await self._stop.wait()
        await listener.stop(timeout_s=10)
        self._app.close()

    def connect(self) -> socket.socket:
        """Open a connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def __enter__(self) -> "Served":
        self._thread.start()
        assert self._up.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()
        self._sock.close()
