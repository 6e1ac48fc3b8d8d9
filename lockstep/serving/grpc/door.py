"""The door of a gRPC server: its listening sockets, which gRPC's Python library closes only together with its calls."""

import contextlib
import os
import socket
import stat
from pathlib import Path

# The open files of this process, on Linux and macOS.
OPEN_FILES = Path("/dev/fd")


def refuse_connections(port: int) -> None:
    """Refuse new connections to a port of this process from now on; those that are open live on. On Linux.

    gRPC then says once that it cannot accept any more, as an error of its own log.
    """
    for file in OPEN_FILES.iterdir():
        with contextlib.suppress(OSError):  # one that was closed meanwhile, such as that of the listing
            if stat.S_ISSOCK(os.fstat(int(file.name)).st_mode):
                _refuse(int(file.name), port)


def _refuse(descriptor: int, port: int) -> None:
    # A copy: the descriptor itself stays gRPC's.
    with socket.socket(fileno=os.dup(descriptor)) as sock:
        if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) and sock.getsockname()[1] == port:
            sock.shutdown(socket.SHUT_RDWR)
