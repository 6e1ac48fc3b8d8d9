"""What `make` says when a command fails: what the doctor finds, and the command's own exit code."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DOCTOR = """\
#!/bin/sh
printf '%s\\n' "$*" >&2
printf 'ok       java  17\\nwarning  ports 8080 is taken -> stop it\\nproblem  disk  full -> free some\\n'
exit 4
"""


def run(here: Path, script: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(ROOT / "tools" / "or_doctor.py"), "sh", "-c", script]
    return subprocess.run(command, cwd=here, capture_output=True, text=True, check=False, timeout=30)


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    doctor = tmp_path / ".venv" / "data" / "bin" / "lockstep"
    doctor.parent.mkdir(parents=True)
    doctor.write_text(DOCTOR)
    doctor.chmod(0o755)
    return tmp_path


def test_a_failure_is_followed_by_what_is_not_ok_and_keeps_its_exit_code(installed: Path) -> None:
    done = run(installed, "echo told; exit 6")
    assert (done.returncode, done.stdout) == (6, "told\n")
    assert "== exit code 6" in done.stderr
    assert "problem  disk" in done.stderr
    assert "warning  ports" in done.stderr
    assert "ok       java" not in done.stderr


@pytest.mark.parametrize("code", [0, 130, 143])
def test_nobody_is_examined_who_is_well_or_was_stopped(installed: Path, code: int) -> None:
    done = run(installed, f"exit {code}")
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")


def test_without_a_doctor_it_says_how_to_get_one(tmp_path: Path) -> None:
    done = run(tmp_path, "exit 1")
    assert (done.returncode, "make setup-data" in done.stderr) == (1, True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_is_stopped_ends_in_its_own_way(installed: Path, number: signal.Signals) -> None:
    script = "trap 'echo tidied; exit 0' INT TERM; echo begun; while :; do sleep 0.05; done"
    command = [sys.executable, str(ROOT / "tools" / "or_doctor.py"), "sh", "-c", script]
    with subprocess.Popen(command, cwd=installed, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        # A terminal tells the whole group of Ctrl-C; `kill` tells one process.
        os.killpg(process.pid, number) if number is signal.SIGINT else process.send_signal(number)
        assert process.stdout.read() == "tidied\n"
    assert process.returncode == 0


def test_make_asks_the_doctor_where_a_machine_may_be_at_fault() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    for command in ("tools/environment.py data", "$(BIN)/lockstep demo", "$(BIN)/lockstep up"):
        lines = [line for line in text.splitlines() if line.endswith(command)]
        assert lines
        assert all("$(OR_DOCTOR)" in line for line in lines), command
    assert "$(OR_DOCTOR) false; exit 1" in text
