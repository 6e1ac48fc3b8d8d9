"""One question to the process that holds the models, asked from a thread that may wait for the answer."""

import logging
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lockstep.serving.errors import NotReady
from lockstep.serving.one_copy.errors import FrameInvalid
from lockstep.serving.one_copy.failures import raise_told
from lockstep.serving.one_copy.wire import FrameReader, Header, frame
from lockstep.serving.workers.board import Wanted

AWAY = "the worker that holds the models is starting"
READ_BYTES = 65_536
POLL_S = 0.05
# What it knows without asking anybody is there within moments; a load may take as long as it does.
ANSWER_S = 30.0

_log = logging.getLogger("lockstep.serving")


class OwnerCalls:
    """Asks the owner; may be used by several threads, each question over a connection of its own.

    Args:
        path: Of its socket.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def call(self, op: str, *, timeout_s: float | None = ANSWER_S, **asked: Any) -> Header:
        """Ask.

        Args:
            op: What is asked for.
            timeout_s: Longest wait for the answer; none: as long as the owner lives.
            asked: What else the header says.

        Raises:
            NotReady: The owner does not answer.
            LockstepError: What the owner raised.
        """
        try:
            answer = self._exchange({"op": op, "id": 1, **asked}, timeout_s=timeout_s)
        except OSError as error:
            raise NotReady(asked.get("model"), reason=AWAY) from error
        raise_told(answer)
        return answer

    def wait(self) -> dict[str, Wanted]:
        """Wait until the owner answers, and return what it serves; the supervisor ends who waits in vain."""
        told = False
        while True:
            try:
                return read_serves(self.call("state"))
            except NotReady:
                if not told:
                    _log.info("waiting for the worker that holds the models")
                    told = True
                time.sleep(POLL_S)

    def _exchange(self, header: Mapping[str, Any], *, timeout_s: float | None) -> Header:
        reader = FrameReader()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(timeout_s)
            sock.connect(str(self.path))
            sock.sendall(b"".join(frame(header)))
            while data := sock.recv(READ_BYTES):
                for answer, _ in reader.feed(data):
                    if answer.get("id") != header["id"]:
                        raise FrameInvalid("it answers another question")
                    return answer
        raise ConnectionResetError


def read_serves(header: Mapping[str, Any]) -> dict[str, Wanted]:
    """Read what the owner serves of each model."""
    return {name: Wanted(**wanted) for name, wanted in header["serves"].items()}
