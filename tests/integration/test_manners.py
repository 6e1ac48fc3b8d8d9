"""How every command behaves: colours, Ctrl-C, completion."""

import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from newcomers.begin import write_clients
from world import ROOT, World

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
SHOWN = (
    ("--help",),
    ("run", "--help"),
    ("rnu",),
    ("run", "broken", "--date", "2024-01-02"),
    ("spec", "validate"),
    ("spec", "show", "churn"),
    ("config", "show", "--origin"),
    ("explain", "LS5002"),
    ("doctor", "settings", "locale"),
    ("model", "list", "churn"),
    ("history", "churn_scores"),
    ("report", "table", "by_city"),
)
# By rich: those that have colours where there are any to be had.
COLOURED = (("run", "broken", "--date", "2024-01-02"), ("doctor", "settings", "locale"))


@pytest.fixture(autouse=True)
def broken(world: World) -> None:
    """A spec that a run refuses at once, and one that needs no Spark before it scores."""
    write_clients(world)
    folder = world.home / "models" / "broken"
    folder.mkdir(exist_ok=True)
    spec = (world.home / "models" / "clients" / "scoring.yaml").read_text()
    (folder / "scoring.yaml").write_text(spec.replace("name: clients", "name: broken"))


@pytest.mark.parametrize("arguments", SHOWN, ids=" ".join)
def test_without_a_terminal_there_are_no_escape_codes(world: World, arguments: tuple[str, ...]) -> None:
    plain = {"FORCE_COLOR": "", "GITHUB_ACTIONS": "", "PY_COLORS": ""}
    done = world.run(*arguments, env=plain)
    assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.parametrize("arguments", COLOURED, ids=" ".join)
def test_colours_are_for_terminals_and_whoever_forces_them(world: World, arguments: tuple[str, ...]) -> None:
    assert COLOUR.search(on_terminal(world, *arguments))
    assert not COLOUR.search(on_terminal(world, *arguments, env={"NO_COLOR": "1"}))
    assert COLOUR.search(world.run(*arguments, env={"FORCE_COLOR": "1"}).stdout)
    machine = world.run(*arguments, "--json", env={"FORCE_COLOR": "1"})
    assert "\x1b" not in machine.stdout
    assert machine.stdout.lstrip().startswith("{")


def on_terminal(world: World, *arguments: str, env: dict[str, str] | None = None) -> str:
    """Return what a command shows on a terminal."""
    ours, theirs = pty.openpty()
    environ = {**world.env, "TERM": "xterm-256color", **(env or {})}
    child = subprocess.Popen(
        world.command(*arguments), env=environ, cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # as Linux says that nobody writes any more
            part = b""
        if not part:
            break
        shown += part
    child.wait(60)
    os.close(ours)
    return shown.decode()


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """Where temporary files of a command are, so that one that is left is seen."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


# What is run, after which output it is interrupted (none: while it is still imported), and with which code it ends.
INTERRUPTED = (
    ("run churn --date 2024-01-02", "", 130),
    ("run churn --date 2024-01-02", "plan  ", 130),
    ("run clients --date 2024-01-03", "gate  ", 130),
    ("check churn --date 2024-01-02", "spec  ", 130),
    ("init churn {home}/data/customers --name mine --yes", "table  ", 130),
    ("doctor", "", 130),
    ("serve churn --port 0", "http://127.0.0.1", 0),
    ("step plan churn --date 2024-01-02 --json", "", 130),
)


@pytest.mark.parametrize(("line", "after", "code"), INTERRUPTED, ids=[f"{i[0]} {i[1]}" for i in INTERRUPTED])
def test_ctrl_c_ends_it_in_a_line_and_leaves_nothing(
    world: World, scratch: Path, line: str, after: str, code: int
) -> None:
    log = scratch.parent / "log"
    arguments = line.replace("{home}", str(world.home)).split()
    with log.open("wb") as stream:
        child = subprocess.Popen(
            world.command(*arguments),
            env={**world.env, "TMPDIR": str(scratch), "PYTHONUNBUFFERED": "1"},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    if not after:
        time.sleep(0.3)  # some moment of the imports, or of the first steps; each must do
    deadline = time.monotonic() + 90
    while after not in log.read_text() and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    while "gate" in after and not _java(child.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    family = psutil.Process(child.pid).children(recursive=True)
    os.killpg(child.pid, signal.SIGINT)
    assert child.wait(60) == code, log.read_text()
    text = log.read_text()
    assert "Traceback" not in text
    assert "lockstep: bug" not in text
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive, [process.cmdline() for process in alive]
    assert not [path for path in scratch.iterdir() if path.name.startswith("lockstep-")], text
    assert not (world.home / "models" / "mine").exists()


def test_an_interrupt_while_a_dataclass_is_made_ends_with_the_same_code(tmp_path: Path) -> None:
    """Modules that are imported on the way make some; see `lockstep.__main__`."""
    (tmp_path / "begun.py").write_text(
        "import sys\n"
        "import lockstep.cli.main as cli\n"
        "from lockstep.__main__ import main\n"
        "def run():\n"
        "    try:\n"
        "        exec('raise KeyboardInterrupt')\n"
        "    except KeyboardInterrupt:\n"
        "        sys.exit(130)\n"
        "cli.main = run\n"
        "main()\n"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-m", "begun"], cwd=tmp_path, env=env, check=False, timeout=60)
    assert done.returncode == 130


def _java(pid: int) -> bool:
    """Whether Spark has begun."""
    return any(child.name() == "java" for child in psutil.Process(pid).children(recursive=True))


def test_bash_completes_the_name_of_a_spec(world: World, tmp_path: Path) -> None:
    """By the very script that a user sources."""
    program = tmp_path / "lockstep"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m lockstep "$@"\n')
    program.chmod(0o755)
    script = """
        source <(lockstep --show-completion bash)
        complete -p lockstep
        for line in 'lockstep run ch' 'lockstep rollb' 'lockstep model pro'; do
            COMP_WORDS=($line); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=()
            _lockstep_completion lockstep
            echo "${COMPREPLY[*]}"
        done
    """
    environ = {**world.env, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-c", script], env=environ, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[1:] == ["churn", "rollback", "promote"], done.stderr
