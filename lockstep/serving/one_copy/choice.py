"""Whether each worker holds the models, or one for all: said by the configuration, or by the machine."""

import os
import time
from pathlib import Path
from typing import Literal

from lockstep.serving.one_copy.errors import SocketPathTooLong
from lockstep.specs.serving_spec import Serving

Copies = Literal["each", "one"]

# Written by the first worker, which alone looks for a GPU: that takes torch.
FILE = "copies"
POLL_S = 0.02
SOCKET = "owner.sock"
# What sockets' paths may have on all systems that the endpoint runs on (macOS: 104 with the closing zero).
MOST_PATH_BYTES = 103
# Without one of these no GPU can be used; looking costs nothing, importing torch costs seconds.
DEVICES = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")


def socket_of(folder: Path) -> Path:
    """Return where the owner listens.

    Args:
        folder: Shared by the workers.

    Raises:
        SocketPathTooLong: No socket can have that path.
    """
    path = folder / SOCKET
    if len(os.fsencode(path)) > MOST_PATH_BYTES:
        raise SocketPathTooLong(str(path), most_bytes=MOST_PATH_BYTES)
    return path


def settle_copies(serving: Serving, folder: Path, *, index: int) -> Copies:
    """Return which it is, the same in all workers.

    Args:
        serving: The configuration.
        folder: Shared by the workers.
        index: Of this worker; the first one finds out, the others wait for it.

    Raises:
        SocketPathTooLong: One is to hold them, and no socket can be made in the folder.
    """
    if serving.copies != "auto":
        return serving.copies
    path = folder / FILE
    if index == 0 and not path.exists():
        found = "one" if _has_gpu() else "each"
        if found == "one":
            socket_of(folder)  # before the others go on, so that one of them says it
        partial = path.with_suffix(".partial")
        partial.write_text(found, encoding="utf-8")
        partial.replace(path)
    while not path.exists():  # the supervisor ends all when the first worker cannot start
        time.sleep(POLL_S)
    return "one" if path.read_text(encoding="utf-8") == "one" else "each"


def _has_gpu() -> bool:
    """Return whether models are put on a GPU, as those who load them find out."""
    if not any(Path(device).exists() for device in DEVICES):
        return False
    try:
        from lockstep.scoring.torch_runner import choose_device
    except ImportError:
        return False
    return choose_device("auto").type == "cuda"
