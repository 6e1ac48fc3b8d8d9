"""Children end with their parent, their time limit or an interrupt; never later."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lockstep.run.processes import run_logged

SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False


def test_exit_code_and_output(tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = [sys.executable, "-c", "import os, sys; print(os.environ['A']); sys.exit(7)"]
    assert run_logged(command, env={"A": "b"}, log=log, timeout_s=30, on_poll=lambda: None) == 7
    assert log.read_text() == "b\n"


def test_a_time_out_stops_the_child(tmp_path: Path) -> None:
    polls: list[int] = []
    assert run_logged(SLEEP, env={}, log=tmp_path / "log", timeout_s=0.5, on_poll=lambda: polls.append(1)) is None
    assert polls


def test_an_interrupt_stops_the_child(tmp_path: Path) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_logged(SLEEP, env={}, log=tmp_path / "log", timeout_s=30, on_poll=interrupt)
    assert time.monotonic() - began < 30


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells children of their parent's death on Linux only")
def test_kill_9_of_the_parent_ends_the_child(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from lockstep.run.processes import run_logged\n"
        f"run_logged({SLEEP!r}, env={{}}, log=Path({str(tmp_path / 'log')!r}), timeout_s=60, on_poll=lambda: None)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script])
    child = None
    deadline = time.monotonic() + 20
    while child is None and time.monotonic() < deadline:
        found = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text()
        child = next((int(pid) for pid in found.split()), None)
        time.sleep(0.1)
    assert child is not None
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    while alive(child) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not alive(child)
