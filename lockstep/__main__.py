"""`lockstep`, and `python -m lockstep`: the command line."""

import os
import signal
from types import FrameType

INTERRUPTED = 130  # lockstep.run.exit_codes, which is not imported yet


def main() -> None:
    """Run the command line; Ctrl-C while it is imported ends it as it does later, without a stack trace."""
    before = signal.signal(signal.SIGINT, _end)
    from lockstep.cli.main import main as run

    signal.signal(signal.SIGINT, before)
    try:
        run()
    finally:
        # Where an interrupt comes out of `exec` of a text, by which dataclasses and named tuples are made, CPython 3.11
        # ends by SIGINT after `-m`, whatever the exit code; another `exec` makes it forget.
        exec("")  # noqa: S102


def _end(number: int, frame: FrameType | None) -> None:
    del number, frame
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    main()
