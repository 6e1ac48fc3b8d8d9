import datetime as dt
import io
import json
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.errors import SettingsError
from lockstep.run.folder import RunFolder
from lockstep.run.logs import JsonFormatter, configure_logs, facts_of_folder, logged_message, set_log_context

REPOSITORY = Path(__file__).parents[3]
AIRFLOW = {"AIRFLOW_CTX_DAG_ID": "score_m", "AIRFLOW_CTX_DAG_RUN_ID": "b/1", "AIRFLOW_CTX_TRY_NUMBER": "2"}


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """Where JSON is logged to; afterwards logging is as it was."""
    root, ours = logging.getLogger(), logging.getLogger("lockstep")
    before = list(root.handlers), root.level, ours.level
    stream = io.StringIO()
    configure_logs({"LOCKSTEP_LOG_FORMAT": "json", **AIRFLOW}, stream=stream)
    yield stream
    set_log_context()
    logging.captureWarnings(capture=False)
    root.handlers[:], root.level = before[0], before[1]
    ours.setLevel(before[2])


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_says_when_who_what_and_about_which_run(logged: io.StringIO) -> None:
    set_log_context(spec="m", step="gate")
    logging.getLogger("lockstep.step").info("%d rows\nof two", 7, extra={"facts": {"seconds": 1.5}})
    (line,) = lines(logged)
    assert line.pop("time").endswith("Z")
    run = {"dag_id": "score_m", "run_id": "b/1", "try_number": "2"}
    head = {"level": "info", "logger": "lockstep.step", "message": "7 rows\nof two"}
    assert line == {**head, **run, "spec": "m", "step": "gate", "seconds": 1.5}


def test_others_are_heard_when_they_warn(logged: io.StringIO) -> None:
    chatty = logging.getLogger("somebody")
    chatty.setLevel(logging.INFO)
    chatty.info("chatter")
    logging.getLogger("somebody").warning("trouble")
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    try:
        raise ValueError("bad")
    except ValueError:
        logging.getLogger("lockstep").exception("broken")
    found = lines(logged)
    assert [line["level"] for line in found] == ["warning", "warning", "error"]
    assert "ValueError: bad" in found[2]["exception"]


@given(st.text(), st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.none())))
def test_any_record_is_one_line_that_is_known_as_a_log_line(message: str, facts: dict[str, Any]) -> None:
    record = logging.LogRecord("lockstep", logging.INFO, __file__, 1, "%s", (message,), None)
    record.facts = facts
    line = JsonFormatter({"dag_id": "d"}).format(record)
    assert "\n" not in line
    assert logged_message(line) == message
    assert dt.datetime.fromisoformat(json.loads(line)["time"]).tzinfo


@pytest.mark.parametrize(
    "line", ["", "text", "{", "[1]", '{"rows": 7}', '{"time": 1, "level": "a", "logger": "b", "message": "c"}']
)
def test_answers_of_commands_are_no_log_lines(line: str) -> None:
    assert logged_message(line) is None


def test_text_is_the_default_and_leaves_logging_alone() -> None:
    before = list(logging.getLogger().handlers)
    assert not configure_logs({})
    assert logging.getLogger().handlers == before
    with pytest.raises(SettingsError, match=r"LOCKSTEP_LOG_FORMAT.*text, json"):
        configure_logs({"LOCKSTEP_LOG_FORMAT": "xml"})


def test_a_folder_without_a_plan_says_nothing(tmp_path: Path) -> None:
    assert facts_of_folder(RunFolder(tmp_path)) == {}
    (tmp_path / "plan.json").write_text("{")
    assert facts_of_folder(RunFolder(tmp_path)) == {}


def test_a_command_logs_its_error_and_answers_apart(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lockstep", "step", "publish", "--run-folder", str(tmp_path), "--json"]
    env = {**os.environ, **AIRFLOW, "LOCKSTEP_LOG_FORMAT": "json"}
    done = subprocess.run(command, env=env, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 9
    assert json.loads(done.stdout)["error"] == "StepOutOfOrder"
    begun, error = (json.loads(line) for line in done.stderr.splitlines())
    assert begun["message"] == "publish begins"
    assert (error["level"], error["error"], error["step"], error["dag_id"]) == (
        "error",
        "StepOutOfOrder",
        "publish",
        "score_m",
    )
    assert error["message"] == json.loads(done.stdout)["message"]
