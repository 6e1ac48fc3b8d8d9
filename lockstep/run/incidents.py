"""What somebody was told of a DAG run, kept beside the pins, so that an incident is told once.

Airflow asks more than once: for each failed attempt, for a run that is cleared and fails again, from two processes at
a time. A record says who was told; a lock that dies with its process says who is telling.
"""

import contextlib
import datetime as dt
import fcntl
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from pydantic import ValidationError

from lockstep.run.folder import RunFolder
from lockstep.run.plan import Record

log = logging.getLogger("lockstep.alerts")


class Incident(Record):
    """What happened, as far as telling it twice would be once too often.

    Attributes:
        event: Of the spec's `alerts.on`.
        task: That it happened to; empty: the whole run.
    """

    dag_id: str
    run_id: str
    event: str
    task: str = ""

    def file(self, home: Path) -> Path:
        """Return where it is kept who was told."""
        return folder_of_run(home, self.dag_id, self.run_id) / f"{quote(self.task or '-', safe='')}.{self.event}.json"


class Told(Record):
    """Who was told of an incident, and when last."""

    incident: Incident
    targets: tuple[str, ...]
    told_at: dt.datetime


def folder_of_run(home: Path, dag_id: str, run_id: str) -> Path:
    """Return the folder of what was told of a DAG run."""
    return home / "alerts" / quote(dag_id, safe="") / quote(run_id, safe="")


def tell_once(home: Path, incident: Incident, targets: Sequence[str], *, tell: Callable[[str], bool]) -> list[str]:
    """Tell those who do not know yet, unless another process is about to.

    Who could not be reached is told when the incident is met again. A home that cannot be written costs the memory,
    not the alert.

    Args:
        home: Lockstep's home.
        incident: What happened.
        targets: Who shall know.
        tell: Tells one of them; whether it worked.

    Returns:
        Who was told now.
    """
    now_told: list[str] = []
    try:
        with _locked(incident.file(home)) as ours:
            if not ours:
                log.info("another process tells of %s %s", incident.task, incident.event)
                return []
            known = told(home, incident)
            for target in targets:
                if target not in known and tell(target):
                    now_told.append(target)
                    _remember(home, incident, (*known, *now_told))
    except OSError as error:
        log.warning("who was told of %s cannot be kept: %s", incident.event, error)
        now_told += [target for target in targets if target not in now_told and tell(target)]
    return now_told


def told(home: Path, incident: Incident) -> tuple[str, ...]:
    """Return who knows of an incident."""
    try:
        return Told.model_validate_json(incident.file(home).read_bytes()).targets
    except (FileNotFoundError, ValidationError):
        return ()


def forget_task(home: Path, dag_id: str, run_id: str, *, task: str) -> None:
    """End the incidents of a task that has succeeded: if it fails again, that is news."""
    for file in folder_of_run(home, dag_id, run_id).glob(f"{quote(task, safe='')}.*.json"):
        with contextlib.suppress(OSError):
            file.unlink()


def _remember(home: Path, incident: Incident, targets: tuple[str, ...]) -> None:
    file = incident.file(home)
    record = Told(incident=incident, targets=targets, told_at=dt.datetime.now(dt.UTC))
    try:
        RunFolder(file.parent).write_json(file.name, record)
    except Exception as error:  # noqa: BLE001 - told is told: the next target must not wait for a disk
        log.warning("who was told of %s cannot be kept: %s", incident.event, error)


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[bool]:
    """Hold the lock of a file, if nobody else does; it ends with the process, however that ends."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.with_suffix(".lock").open("a", encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
