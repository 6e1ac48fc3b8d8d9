"""What commands and steps log: text for people, or, with LOCKSTEP_LOG_FORMAT=json, one JSON object a line.

Log lines go to standard error; what a command answers goes to standard output and is none.
"""

import datetime as dt
import json
import logging
import sys
from collections.abc import Mapping
from typing import Any, TextIO

from lockstep.errors import LockstepError
from lockstep.run.folder import PLAN, RunFolder
from lockstep.specs.settings_file import layered

VARIABLE = "LOCKSTEP_LOG_FORMAT"
FORMATS = ("text", "json")
ALWAYS = ("time", "level", "logger", "message")
# What Airflow tells the processes of its tasks.
AIRFLOW = {
    "dag_id": "AIRFLOW_CTX_DAG_ID",
    "run_id": "AIRFLOW_CTX_DAG_RUN_ID",
    "task_id": "AIRFLOW_CTX_TASK_ID",
    "try_number": "AIRFLOW_CTX_TRY_NUMBER",
}

# A process works at one run at a time, with several threads that all log for it.
_context: dict[str, Any] = {}


class JsonFormatter(logging.Formatter):
    """Makes one JSON object of a record: time, level, logger, message, then what it is about.

    Args:
        fixed: What is the same in all lines of this process.
    """

    def __init__(self, fixed: Mapping[str, Any]) -> None:
        super().__init__()
        self._fixed = dict(fixed)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        at = dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds")
        about = {**self._fixed, **_context, **getattr(record, "facts", {})}
        line = {
            "time": at.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **{name: value for name, value in about.items() if name not in ALWAYS},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def is_json(environ: Mapping[str, str]) -> bool:
    """Whether logs are JSON.

    Raises:
        SettingsError: LOCKSTEP_LOG_FORMAT is something that is not known.
    """
    layers = layered(environ)
    wanted = layers.get(VARIABLE) or "text"
    if wanted not in FORMATS:
        raise layers.refusal(VARIABLE, got=wanted, expected=f"one of {', '.join(FORMATS)}")
    return wanted == "json"


def configure_logs(environ: Mapping[str, str], *, stream: TextIO | None = None) -> bool:
    """Log JSON if that is asked for; else leave logging as it is. Returns whether it is.

    Args:
        environ: Usually `os.environ`.
        stream: Where to, by default standard error.
    """
    if not is_json(environ):
        return False
    fixed = {name: environ[variable] for name, variable in AIRFLOW.items() if environ.get(variable)}
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter(fixed))
    # Libraries that set a level of their own are heard when they warn, as they are without JSON.
    handler.addFilter(lambda record: record.levelno >= logging.WARNING or record.name.split(".")[0] == "lockstep")
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("lockstep").setLevel(logging.INFO)
    logging.captureWarnings(capture=True)
    return True


def set_log_context(**facts: Any) -> None:
    """Say what all lines are about from now on; in text it is not shown."""
    _context.clear()
    _context.update(facts)


def facts_of_folder(folder: RunFolder) -> dict[str, Any]:
    """Return which run a folder is of, for `set_log_context`; what it cannot tell is left out."""
    if not folder.has(PLAN):
        return {}
    try:
        plan = folder.plan(step="log")
    except LockstepError:
        return {}
    model = {"model": plan.model.name, "model_version": plan.model.version}
    return {"spec": plan.spec.name, "partition": plan.partition.isoformat(), "run_key": plan.run_key, **model}


def logged_message(line: str) -> str | None:
    """Return the message of a line that is a JSON log line; None for any other line, such as a command's answer."""
    if not line.startswith("{"):
        return None
    try:
        value = json.loads(line)
    except ValueError:
        return None
    is_ours = isinstance(value, dict) and all(isinstance(value.get(name), str) for name in ALWAYS)
    return str(value["message"]) if is_ours else None
