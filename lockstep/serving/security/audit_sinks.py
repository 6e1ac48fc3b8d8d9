"""Where the lines of the audit log go."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from lockstep.serving.security.audit import Line, Write

OWNER_ONLY = 0o600

_log = logging.getLogger("lockstep.audit")


def write_to_file(path: Path, *, max_bytes: int) -> Write:
    """Return what appends lines to a file, which others may append to and rotate.

    Args:
        path: Made with its folder when it is not there, readable by its owner only.
        max_bytes: From this size on refusals are left out.
    """

    def write(lines: Sequence[Line]) -> int:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, OWNER_ONLY)
        try:
            roomy = os.fstat(handle).st_size < max_bytes
            kept = [line.text + "\n" for line in lines if roomy or not line.refusal]
            # One write, so that lines of several processes do not mix.
            data = "".join(kept).encode()
            while data:
                data = data[os.write(handle, data) :]
            return len(lines) - len(kept)
        finally:
            os.close(handle)

    return write


def write_to_log(lines: Sequence[Line]) -> int:
    """Write lines to the log."""
    for line in lines:
        _log.info("%s", line.text)
    return 0
