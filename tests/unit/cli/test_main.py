"""The edge of the process: one message and a code for errors, a traceback only where a log wants it."""

import io
import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

import duckdb
import pytest

from lockstep.cli import main as cli
from lockstep.errors import WarehouseLocked


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def fail_with(error: Exception, monkeypatch: pytest.MonkeyPatch) -> int:
    def app(**_: object) -> None:
        raise error

    monkeypatch.setattr(cli, "app", app)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return int(str(caught.value.code))


def test_an_error_of_ours_is_one_message_and_json_for_machines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["lockstep", "run", "--json"])
    assert fail_with(WarehouseLocked("w.duckdb", holder="PID 7", waited_s=1), monkeypatch) == 75
    out, err = capsys.readouterr()
    first, more = err.splitlines()
    head = "lockstep: error: [LS8003] "
    assert first.startswith(f"{head}warehouse w.duckdb is locked by PID 7")
    assert more == "  more: lockstep explain LS8003"
    facts = {"error": "WarehouseLocked", "code": "LS8003", "message": first.removeprefix(head), "retryable": True}
    assert json.loads(out) == facts


def test_ctrl_c_during_a_query_is_no_bug(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    timer = threading.Timer(0.3, signal.raise_signal, [signal.SIGINT])
    with duckdb.connect() as connection:
        timer.start()
        try:
            connection.execute("SELECT sum(a.range * b.range) FROM range(10000000) a, range(10000000) b").fetchall()
        except BaseException as error:  # noqa: BLE001 - whatever DuckDB makes of it
            raised = error
    assert str(raised) == cli.DUCKDB_INTERRUPTED
    assert isinstance(raised, RuntimeError)
    assert fail_with(raised, monkeypatch) == 130
    assert capsys.readouterr() == ("", "")


def test_a_bug_is_one_line_on_a_terminal_and_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert fail_with(ZeroDivisionError("secret"), monkeypatch) == 1
    (kept,) = tmp_path.iterdir()
    assert terminal.getvalue() == f"lockstep: bug: ZeroDivisionError; please report it with {kept}\n"
    assert "Traceback" in kept.read_text()


def test_a_bug_is_whole_in_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    def app(**_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(cli, "app", app)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr("sys.stderr", io.StringIO())
    with pytest.raises(ZeroDivisionError):
        cli.main()


def test_a_command_begins_without_the_libraries_of_its_work() -> None:
    """Each task of a DAG starts a command."""
    heavy = ("numpy", "pandas", "pyarrow", "duckdb", "sqlglot", "mlflow", "torch", "pyspark", "great_expectations")
    code = f"import sys, lockstep.cli.main; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "[]\n"
