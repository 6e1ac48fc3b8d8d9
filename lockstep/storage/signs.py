"""Signs of life: a file that its owner touches again and again, and that others watch."""

import os

from lockstep.storage.files import Location
from lockstep.storage.objects import ObjectPath


def mark(file: Location) -> None:
    """Give a sign of life: the time of change of the file moves on."""
    if isinstance(file, ObjectPath):
        file.put(file.read_bytes())
    else:
        os.utime(file)


def wipe(file: Location) -> None:
    """Give the last sign: `seen` tells 0 from now on."""
    if isinstance(file, ObjectPath):
        file.put(b"")
    else:
        os.utime(file, (0, 0))


def seen(file: Location) -> tuple[int, bytes]:
    """Return a number that changes with every sign, 0 after the last one, and what the file says.

    Raises:
        FileNotFoundError: It is not there.
    """
    if isinstance(file, ObjectPath):
        text = file.read_bytes()
        return (file.stat().st_mtime_ns if text else 0), text
    # Opened each time: over NFS that asks the server, while a plain `stat` may be answered from memory.
    with file.open("rb") as stream:
        return os.fstat(stream.fileno()).st_mtime_ns, stream.read()
