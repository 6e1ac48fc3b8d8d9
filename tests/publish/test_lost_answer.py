"""The server commits, and the line breaks before its answer comes back: the next try finds that out."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from lockstep.errors import CommitUncertain
from lockstep.publish.contract import PublishRequest
from lockstep.services.ports import LOOPBACK
from tests.publish.conftest import SCHEMAS
from tests.publish.places import Place
from tests.publish.postgres_server import Server
from tests.publish.staged import DAY

COMMIT = b"COMMIT"


class CuttingProxy:
    """Forwards to a server, and breaks the line when the answer to a commit comes."""

    def __init__(self, port: int) -> None:
        self.target = (LOOPBACK, port)
        self.listener = socket.create_server((LOOPBACK, 0))
        self.port = int(self.listener.getsockname()[1])
        self.cut = 0

    def serve(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self._pass, args=(client,), daemon=True).start()

    def _pass(self, client: socket.socket) -> None:
        committing = threading.Event()
        with client, socket.create_connection(self.target) as server:
            back = threading.Thread(target=self._answers, args=(server, client, committing), daemon=True)
            back.start()
            with contextlib.suppress(OSError):
                while data := client.recv(65_536):
                    if COMMIT in data:
                        committing.set()
                    server.sendall(data)
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_WR)
            back.join()

    def _answers(self, server: socket.socket, client: socket.socket, committing: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65_536):
                if committing.is_set():
                    self.cut += 1
                    client.shutdown(socket.SHUT_RDWR)
                    return
                client.sendall(data)


@pytest.fixture
def proxy(postgres: Server) -> Iterator[CuttingProxy]:
    made = CuttingProxy(postgres.cluster.port)
    threading.Thread(target=made.serve, daemon=True).start()
    yield made
    made.listener.close()


def test_a_commit_whose_answer_is_lost(
    postgres: Server, proxy: CuttingProxy, request_for: Callable[..., PublishRequest]
) -> None:
    schema = f"w{next(SCHEMAS)}"
    place = Place("postgresql", postgres.create(schema))
    place.open().publish(request_for("old", place.claim("old")))
    request = request_for("a", place.claim("a"), rows=8)
    cut_off = Place("postgresql", postgres.location(schema, port=proxy.port))
    with pytest.raises(CommitUncertain, match="the old partition or the new one, whole") as caught:
        cut_off.open().publish(request)
    assert caught.value.retryable
    assert proxy.cut == 1
    assert place.live() == [(DAY, "a", 8)]
    assert place.open().publish(request).outcome == "noop"
    assert place.live() == [(DAY, "a", 8)]
