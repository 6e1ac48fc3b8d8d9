"""The door of a gRPC server: its listening sockets, which gRPC's Python library closes only together with its calls."""

import contextlib
import os
import socket
from pathlib import Path

# The open files of this process, on Linux and macOS.
OPEN_FILES = Path("/dev/fd")


def refuse_connections(port: int) -> None:
    """Refuse new connections to a port of this process from now on; those that are open live on. On Linux.

    gRPC then says once that it cannot accept any more, as an error of its own log.
    """
    for file in OPEN_FILES.iterdir():
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(int(file.name))) as sock:
            if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) and sock.getsockname()[1] == port:
                sock.shutdown(socket.SHUT_RDWR)
