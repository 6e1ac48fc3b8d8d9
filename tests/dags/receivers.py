"""Servers that alerts, lineage and metrics are sent to: real sockets on the loopback, nothing else."""

import contextlib
import json
import socket
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Web:
    """An HTTP server that keeps what it is sent.

    Attributes:
        answers: Status of each answer; the last one for all that follow.
        got: Path, headers and body of each request; JSON is parsed.
    """

    port: int = 0
    answers: list[int] = field(default_factory=lambda: [200])
    got: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)

    def url(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self.port}{path}"


@contextlib.contextmanager
def web() -> Iterator[Web]:
    facts = Web()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            is_json = (self.headers["Content-Type"] or "").startswith("application/json")
            facts.got.append((self.path, dict(self.headers), json.loads(body) if is_json else body))
            self.send_response(facts.answers.pop(0) if len(facts.answers) > 1 else facts.answers[0])
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    facts.port = server.server_port
    with _serving(server):
        yield facts


class _Smtp(socketserver.StreamRequestHandler):
    """RFC 5321, as far as a client without TLS and login needs it."""

    def handle(self) -> None:
        self._say("220 here")
        while line := self.rfile.readline().decode().strip():
            verb = line.split(" ")[0].upper()
            if verb == "DATA":
                self._say("354 go on")
                data = b""
                while not data.endswith(b"\r\n.\r\n"):
                    data += self.rfile.readline()
                self.server.mails.append(message_from_bytes(data[:-3], policy=policy.default))  # type: ignore[attr-defined]
            elif verb == "QUIT":
                self._say("221 bye")
                return
            self._say("250 ok")

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


@contextlib.contextmanager
def smtp() -> Iterator[tuple[int, list[EmailMessage]]]:
    """A mail server: its port and its mails."""
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Smtp)
    server.daemon_threads = True
    server.mails = []  # type: ignore[attr-defined]
    with _serving(server):
        yield server.server_address[1], server.mails  # type: ignore[attr-defined]


@contextlib.contextmanager
def statsd() -> Iterator[tuple[int, list[str]]]:
    """A StatsD server: its port and the lines it was sent. Ends when the last one is in."""
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("127.0.0.1", 0))
    receiver.settimeout(10)
    lines: list[str] = []

    def read() -> None:
        while (text := receiver.recv(65536).decode()) != "end":
            lines.extend(text.splitlines())

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        yield receiver.getsockname()[1], lines
        # One socket keeps the order of loopback datagrams, so nothing is behind this one.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"end", receiver.getsockname())
        thread.join(10)
    finally:
        receiver.close()


@contextlib.contextmanager
def silent() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@contextlib.contextmanager
def _serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
