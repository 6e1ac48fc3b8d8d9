"""A store of objects for the tables of lakes, with a catalog of Iceberg's beside it, and a record of what is asked."""

import contextlib
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import boto3
import pytest
from botocore.config import Config

from lockstep.storage import stores
from tests.integration.counting_proxy import CountingProxy, close, received
from tests.integration.s3_server import Store, s3_server

BUCKET = CATALOG = "lake"
# The body of the request before may end without a line end.
REQUEST = re.compile(rb"(GET|HEAD|PUT|POST|DELETE) (/\S*) HTTP/1\.1\r\n(.*?)\r\n\r\n", re.DOTALL)


@dataclass(frozen=True)
class Lake:
    """Where new warehouses of one kind lie.

    Attributes:
        pattern: Of their locations.
    """

    pattern: str

    def create(self, name: str) -> str:
        """Return the location of an empty one."""
        return self.pattern.format(name)


@contextlib.contextmanager
def running_lake(folder: Path) -> Iterator[Store]:
    """Start a store with a bucket; this process and its children reach it, and a catalog whose tables lie there."""
    catalog = {"TYPE": "sql", "URI": f"sqlite:///{folder}/catalog.db?timeout=30", "WAREHOUSE": f"s3://{BUCKET}/tables"}
    with s3_server(folder / "store") as store, pytest.MonkeyPatch.context() as patch:
        for name, value in store.env.items():
            patch.setenv(name, value)
        for name, value in catalog.items():
            patch.setenv(f"PYICEBERG_CATALOG__{CATALOG.upper()}__{name}", value)
        with reached_anew():
            retries = Config(retries={"mode": "standard", "max_attempts": 10})  # it starts up
            boto3.client("s3", config=retries).create_bucket(Bucket=BUCKET)
            yield store


@contextlib.contextmanager
def reached_anew() -> Iterator[None]:
    """Open stores as the environment says now, and once more afterwards."""
    stores.store.cache_clear()
    try:
        yield
    finally:
        stores.store.cache_clear()


@dataclass(frozen=True)
class Request:
    """One request to the store.

    Attributes:
        path: With the bucket, decoded, without the query.
        headers: As they were sent, in lower case.
    """

    method: str
    path: str
    headers: str


class Recorder(CountingProxy):
    """Passes bytes on as they are, and keeps those that go to the store.

    Attributes:
        lose: The answer to the next request that fits is lost: the line breaks.
        lost: How many were.
    """

    def __init__(self, port: int) -> None:
        """Listen; `port` is of the store."""
        self.sent: list[bytearray] = []
        self.lose: re.Pattern[bytes] | None = None
        self.lost = 0
        self._breaking: set[socket.socket] = set()
        super().__init__(port)

    def _requests(self, client: socket.socket, store: socket.socket) -> None:
        kept = bytearray()
        self.sent.append(kept)
        for data in received(client):
            kept.extend(data)
            if self.lose is not None and self.lose.search(data):
                self.lose = None
                self._breaking.add(store)
            with contextlib.suppress(OSError):
                store.sendall(data)
        close(store)

    def _answers(self, store: socket.socket, client: socket.socket) -> None:
        for data in received(store):
            if store in self._breaking:
                self.lost += 1
                break
            with contextlib.suppress(OSError):
                client.sendall(data)
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)

    def requests(self) -> list[Request]:
        """Return what was asked so far."""
        return [
            Request(match[1].decode(), unquote(match[2].decode().partition("?")[0]), match[3].decode().lower())
            for kept in self.sent
            for match in REQUEST.finditer(bytes(kept))
        ]
