"""A proxy before a store: counts what is asked for, and can hold an answer back."""

import contextlib
import re
import socket
import threading
from collections import Counter
from collections.abc import Iterator

LOOPBACK = "127.0.0.1"
REQUEST = re.compile(rb"^(GET) (\S+) HTTP/1\.1\r\n(.*?)\r\n\r\n", re.DOTALL | re.MULTILINE)
RANGE = re.compile(rb"^range: *(\S+)", re.IGNORECASE | re.MULTILINE)


class CountingProxy:
    """Passes bytes on as they are."""

    def __init__(self, port: int) -> None:
        """Listen.

        Args:
            port: Of the store.
        """
        self.asked: Counter[tuple[str, str]] = Counter()  # path and range of each object that was asked for
        self.held = threading.Event()  # something is being held back
        self.free = threading.Event()  # nothing is held back any more
        self.free.set()
        self._port = port
        self._connections: list[socket.socket] = []
        self._listener = socket.create_server((LOOPBACK, 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self._listener.getsockname()[1]}"

    def hold(self) -> None:
        """From now on, objects are asked for in vain."""
        self.held.clear()
        self.free.clear()

    def close(self) -> None:
        self.free.set()
        for one in (self._listener, *self._connections):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                store = socket.create_connection((LOOPBACK, self._port))
                self._connections += [client, store]
                threading.Thread(target=self._requests, args=(client, store), daemon=True).start()
                threading.Thread(target=self._answers, args=(store, client), daemon=True).start()

    def _requests(self, client: socket.socket, store: socket.socket) -> None:
        for data in received(client):
            for match in REQUEST.finditer(data):
                path = match[2].decode().partition("?")[0]
                if path.count("/") > 1 and "list-type" not in match[2].decode():
                    found = RANGE.search(match[3])
                    self.asked[path, found[1].decode() if found else ""] += 1
                    if not self.free.is_set():
                        self.held.set()
                        self.free.wait()
            with contextlib.suppress(OSError):
                store.sendall(data)
        close(store)

    def _answers(self, store: socket.socket, client: socket.socket) -> None:
        for data in received(store):
            with contextlib.suppress(OSError):
                client.sendall(data)
        close(client)


def received(connection: socket.socket) -> Iterator[bytes]:
    """Yield what arrives until the other side closes."""
    with contextlib.suppress(OSError):
        while data := connection.recv(1 << 20):
            yield data


def close(connection: socket.socket) -> None:
    """Say that nothing more comes."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def counting_proxy(port: int) -> Iterator[CountingProxy]:
    """Give a proxy; close it at the end."""
    proxy = CountingProxy(port)
    try:
        yield proxy
    finally:
        proxy.close()
