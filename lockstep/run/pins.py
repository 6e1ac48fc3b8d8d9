"""The model version that a DAG run took, kept beside the run folders: clearing tasks must not change it."""

import datetime as dt
from pathlib import Path
from urllib.parse import quote

from pydantic import ValidationError

from lockstep.errors import RunFolderUnusable
from lockstep.run.folder import RunFolder
from lockstep.run.plan import Record


class Pin(Record):
    """What a DAG run resolved.

    Attributes:
        asked: What was asked for: an alias, a version or `as-published`.
        challengers: Version of each alias on trial; none: the alias did not exist.
    """

    dag_id: str
    run_id: str
    asked: str
    name: str
    version: int
    digest: str
    pinned_at: dt.datetime
    challengers: dict[str, int | None] = {}


def pin_file(home: Path, dag_id: str, run_id: str) -> Path:
    """Return where the pin of a DAG run is kept."""
    return home / "pins" / quote(dag_id, safe="") / f"{quote(run_id, safe='')}.json"


def read_pin(home: Path, dag_id: str, run_id: str) -> Pin | None:
    """Return the pin of a DAG run, if it has one.

    Raises:
        RunFolderUnusable: It cannot be read.
    """
    file = pin_file(home, dag_id, run_id)
    try:
        return Pin.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise RunFolderUnusable(str(file), f"it is no record of a pinned model: {type(error).__name__}") from error


def write_pin(home: Path, pin: Pin) -> None:
    """Keep a pin, whole or not at all.

    Raises:
        RunFolderUnusable: The disk is full or read-only.
    """
    file = pin_file(home, pin.dag_id, pin.run_id)
    RunFolder(file.parent).write_json(file.name, pin)
