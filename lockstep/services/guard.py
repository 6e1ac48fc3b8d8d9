"""`python -m lockstep.services.guard HOME`: stops the services when their supervisor dies without stopping them.

The supervisor holds the other end of this process's standard input. However the supervisor ends, the kernel closes
that end. If the record of running services is still there then, the supervisor was killed: the guard stops them.
"""

import os
import signal
import sys
from pathlib import Path

from lockstep.services.state import ServiceState


def main() -> None:
    """Wait for the end of standard input, then stop what is left."""
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, signal.SIG_IGN)
    while os.read(0, 1024):
        pass
    ServiceState(Path(sys.argv[1])).stop_leftovers()


if __name__ == "__main__":
    main()
