"""A command that is interrupted as a terminal does it."""

import os
import signal
import subprocess
import time

from newcomers.commands import LONGEST_S, Outcome
from newcomers.mistake import Mistake, Place
from world import ROOT


def interrupted(mistake: Mistake, place: Place) -> Outcome:
    """Run a command until it has planned, then press Ctrl-C: all processes of its group are told."""
    log = place.home / "interrupted.log"
    with log.open("wb") as stream:
        child = subprocess.Popen(
            place.world.command(*mistake.typed(place)),
            env=mistake.environ(place),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + LONGEST_S
    while "plan" not in log.read_text() and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(child.pid, signal.SIGINT)
    code = child.wait(LONGEST_S)
    return Outcome(code, log.read_text())
