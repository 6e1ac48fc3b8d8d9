"""The supervisor with real processes: order, deaths, signals, and what a killed supervisor leaves behind."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from lockstep.services.errors import AlreadyRunning, CommandFailed, ServiceDied
from lockstep.services.process import Component, is_alive
from lockstep.services.state import ServiceState
from lockstep.services.supervisor import StopRequested, Supervisor

pytestmark = pytest.mark.integration

REPOSITORY = Path(__file__).parents[2]
# A process that says when it is asked to stop, with a child in a session of its own.
POLITE = "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done"
STUBBORN = "trap '' TERM; setsid sh -c 'trap \"\" TERM; sleep 300' & echo up; while :; do sleep 0.05; done"

Log = list[tuple[str, str]]


def shell(name: str, script: str, tmp_path: Path, *, stop_timeout_s: float = 3.0) -> Component:
    return Component(name, ["/bin/sh", "-c", script], dict(os.environ), tmp_path, stop_timeout_s=stop_timeout_s)


def eventually(holds: Callable[[], bool], *, within_s: float = 10.0) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.05)
    return False


@pytest.fixture
def log() -> Log:
    return []


@pytest.fixture
def supervisor(tmp_path: Path, log: Log) -> Supervisor:
    return Supervisor(ServiceState(tmp_path / "home"), sink=lambda name, line: log.append((name, line)))


def record(tmp_path: Path) -> list[dict[str, int]]:
    processes: list[dict[str, int]] = ServiceState(tmp_path / "home").read()["processes"]
    return processes


def test_stops_in_reverse_order_and_leaves_no_record(supervisor: Supervisor, log: Log, tmp_path: Path) -> None:
    with supervisor.supervising():
        supervisor.start([shell("first", POLITE, tmp_path)])
        supervisor.start([shell("second", POLITE, tmp_path)])
        assert eventually(lambda: {("first", "up"), ("second", "up")} <= set(log))
        pids = [entry["pid"] for entry in record(tmp_path)]
    assert [name for name, line in log if line == "bye"] == ["second", "first"]
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert not ServiceState(tmp_path / "home").record.exists()


def test_what_does_not_stop_is_killed_with_all_its_children(supervisor: Supervisor, log: Log, tmp_path: Path) -> None:
    with supervisor.supervising():
        supervisor.start([shell("stubborn", STUBBORN, tmp_path, stop_timeout_s=0.5)])
        assert eventually(lambda: ("stubborn", "up") in log)
        (leader,) = [psutil.Process(entry["pid"]) for entry in record(tmp_path)]
        assert eventually(lambda: len(leader.children(recursive=True)) >= 2)
        family = [leader, *leader.children(recursive=True)]
        began = time.monotonic()
    assert time.monotonic() - began < 5
    assert not any(is_alive(process) for process in family)


def test_component_that_dies_stops_the_others_and_is_named(supervisor: Supervisor, log: Log, tmp_path: Path) -> None:
    with (  # noqa: PT012 - it is the whole block that ends
        pytest.raises(ServiceDied, match=r"broken ended by itself with exit code 3(.|\n)*the reason"),
        supervisor.supervising(),
    ):
        supervisor.start([shell("good", POLITE, tmp_path)])
        assert eventually(lambda: ("good", "up") in log)
        supervisor.start([shell("broken", "echo the reason; exit 3", tmp_path)])
        assert eventually(lambda: _raises(supervisor))
        supervisor.check()
    assert ("good", "bye") in log


def _raises(supervisor: Supervisor) -> bool:
    try:
        supervisor.check()
    except ServiceDied:
        return True
    return False


def test_component_that_does_not_become_healthy_is_named(supervisor: Supervisor, tmp_path: Path) -> None:
    never = Component("sick", ["sleep", "60"], {}, tmp_path, ready=lambda: False, ready_timeout_s=0.3)
    expected = pytest.raises(ServiceDied, match=r"sick did not become healthy within 0 s")
    with expected, supervisor.supervising():
        supervisor.start([never])
        supervisor.wait_ready()


def test_ctrl_c_while_starting_leaves_nothing(supervisor: Supervisor, log: Log, tmp_path: Path) -> None:
    slow = Component("slow", ["/bin/sh", "-c", POLITE], dict(os.environ), tmp_path, ready=lambda: False)
    with pytest.raises(StopRequested, match="SIGINT"), supervisor.supervising():  # noqa: PT012
        supervisor.start([slow])
        assert eventually(lambda: ("slow", "up") in log)
        os.kill(os.getpid(), signal.SIGINT)
        supervisor.wait_ready()
    assert ("slow", "bye") in log


def test_second_start_in_the_same_home_is_refused(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.urls = ["http://127.0.0.1:1"]
    with supervisor.supervising():
        supervisor.start([shell("only", POLITE, tmp_path)])
        second = Supervisor(ServiceState(tmp_path / "home"), sink=lambda *_: None)
        with (
            pytest.raises(AlreadyRunning, match=rf"process {os.getpid()} \(http://127.0.0.1:1\)"),
            second.supervising(),
        ):
            pass


def test_command_that_fails_is_reported_with_its_last_lines(supervisor: Supervisor, tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match=r"set-up failed with exit code 4(.|\n)*why"), supervisor.supervising():
        supervisor.run(shell("setup", "echo why; exit 4", tmp_path), what="set-up")


KILLED_SUPERVISOR = """
import os, signal, sys, time
from pathlib import Path
from lockstep.services.process import Component
from lockstep.services.state import ServiceState
from lockstep.services.supervisor import Supervisor
supervisor = Supervisor(ServiceState(Path(sys.argv[1])), sink=lambda *_: None)
with supervisor.supervising():
    supervisor.start([Component("orphan", ["/bin/sh", "-c", "sleep 300 & wait"], dict(os.environ), Path("/"))])
    print(supervisor._guard.pid, flush=True)
    time.sleep(300)
"""


def _start_and_kill(home: Path, *, with_guard: bool) -> psutil.Process:
    """Start a supervisor with one component, kill -9 it, and return the component's process."""
    command = [sys.executable, "-c", KILLED_SUPERVISOR, str(home)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        guard = int(process.stdout.readline())
        state = json.loads((home / "services" / "running.json").read_text())
        orphan = psutil.Process(state["processes"][0]["pid"])
        if with_guard:
            os.kill(guard, signal.SIGKILL)
        process.kill()
    return orphan


def test_killed_supervisor_takes_its_components_with_it(tmp_path: Path) -> None:
    orphan = _start_and_kill(tmp_path / "home", with_guard=False)
    assert eventually(lambda: not is_alive(orphan))
    assert eventually(lambda: not (tmp_path / "home" / "services" / "running.json").exists())


def test_next_start_stops_what_supervisor_and_guard_left(supervisor: Supervisor, log: Log, tmp_path: Path) -> None:
    orphan = _start_and_kill(tmp_path / "home", with_guard=True)
    assert is_alive(orphan)
    with supervisor.supervising():
        assert not is_alive(orphan)
    assert any("stopped what a killed run had left behind: orphan" in line for _, line in log)


def test_process_id_that_another_program_has_today_is_left_alone(supervisor: Supervisor, tmp_path: Path) -> None:
    state = ServiceState(tmp_path / "home")
    state.folder.mkdir(parents=True)
    with subprocess.Popen(["sleep", "60"]) as bystander:
        entry = {"name": "old", "pid": bystander.pid, "started": time.time() - 3600, "stop_signal": signal.SIGTERM}
        state.record.write_text(json.dumps({"supervisor": 1, "urls": [], "processes": [entry]}))
        with supervisor.supervising():
            pass
        assert bystander.poll() is None
        bystander.kill()


def test_program_that_is_not_there_is_a_clear_error(supervisor: Supervisor, tmp_path: Path) -> None:
    ghost = Component("ghost", [str(tmp_path / "nothing")], {}, tmp_path)
    with pytest.raises(ServiceDied, match="ghost cannot be started"), supervisor.supervising():
        supervisor.start([ghost])
