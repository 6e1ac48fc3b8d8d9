"""Aborts of canaries: a challenger that was stopped stays stopped, until a person says otherwise.

Each abort and each resumption is a file that is made once and never changed, in `canaries/<spec>/<digest>/` of the home
folder; the last one counts. Another digest is another challenger and begins anew.
"""

import datetime as dt
import os
import uuid
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from lockstep.errors import RunFolderUnusable
from lockstep.run.plan import Record

FOLDER, DIGEST_DIGITS = "canaries", 16


class CanaryEvent(Record):
    """A canary was aborted, or allowed again.

    Attributes:
        alias, version, digest: The challenger.
        partition, run_key: The run that found a guardrail broken; none and empty: a person did it.
        actor: Who did it.
    """

    kind: Literal["aborted", "resumed"]
    at: dt.datetime
    actor: str
    alias: str
    version: int
    digest: str
    reasons: tuple[str, ...]
    partition: dt.date | None = None
    run_key: str = ""

    @property
    def text(self) -> str:
        """Say it in one line."""
        where = f"by the run of {self.partition}" if self.partition else f"by {self.actor or 'a person'}"
        return f"version {self.version} was {self.kind} {where}, {self.at:%Y-%m-%d %H:%M}: {'; '.join(self.reasons)}"


def canary_events(home: Path, spec: str, digest: str) -> list[CanaryEvent]:
    """Return what happened to a challenger's canary, oldest first.

    Raises:
        RunFolderUnusable: A record cannot be read.
    """
    return [_read(path) for path in sorted(_folder(home, spec, digest).glob("[0-9]*.json"))]


def current_abort(home: Path, spec: str, digest: str) -> CanaryEvent | None:
    """Return the abort that is in force for a challenger, if there is one.

    Raises:
        RunFolderUnusable: A record cannot be read.
    """
    events = canary_events(home, spec, digest)
    return events[-1] if events and events[-1].kind == "aborted" else None


def record_event(home: Path, spec: str, event: CanaryEvent) -> CanaryEvent:
    """Keep an event, whole or not at all; one that changes nothing is not kept.

    Returns:
        The event in force: the earlier one, when the canary was in that state already.

    Raises:
        RunFolderUnusable: The disk is full or read-only, or a record cannot be read.
    """
    folder = _folder(home, spec, event.digest)
    while True:
        events = canary_events(home, spec, event.digest)
        kind = events[-1].kind if events else "resumed"
        if kind == event.kind:
            return events[-1] if events else event
        if _made(folder / f"{len(events) + 1:04}.json", event):
            return event


def _made(target: Path, event: CanaryEvent) -> bool:
    """Make a file with its whole content, unless somebody else has made it."""
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("w", encoding="utf-8") as stream:
                stream.write(event.model_dump_json(indent=2) + "\n")
                stream.flush()
                os.fsync(stream.fileno())
            os.link(partial, target)
        finally:
            partial.unlink(missing_ok=True)
    except FileExistsError:
        return False
    except OSError as error:
        raise RunFolderUnusable(str(target.parent), error.strerror or str(error)) from error
    return True


def _read(path: Path) -> CanaryEvent:
    try:
        return CanaryEvent.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise RunFolderUnusable(str(path), f"it is no record of a canary: {type(error).__name__}") from error


def _folder(home: Path, spec: str, digest: str) -> Path:
    return home / FOLDER / spec / digest[:DIGEST_DIGITS]
