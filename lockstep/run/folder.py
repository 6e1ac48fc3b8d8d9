"""The run folder: all that a scoring run knows, so that any step can run anywhere and be retried."""

import contextlib
import datetime as dt
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from lockstep.errors import RunFolderUnusable, StepOutOfOrder
from lockstep.run.manifest import Manifest
from lockstep.run.plan import Claim, Plan, ScoringInput

RecordT = TypeVar("RecordT", bound=BaseModel)

PLAN, CLAIM, INPUT, MANIFEST = "plan.json", "claim.json", "input.json", "manifest.json"
GATE, AUDIT, PUBLICATION = "gate.json", "audit.json", "publication.json"
TIMINGS, REPORT, DRIFT = "timings", "report.html", "drift.parquet"
CHALLENGERS, COMPARISON, CANARY = "challengers", "comparison.json", "canary.json"


@dataclass(frozen=True)
class RunFolder:
    """One run folder. Files appear whole or not at all; each has one writer, the step named after it."""

    path: Path

    @classmethod
    def of(cls, runs_root: Path, *, spec: str, partition: dt.date, run_key: str) -> "RunFolder":
        """Return the folder of a run (which need not exist)."""
        return cls(runs_root / spec / partition.isoformat() / run_key)

    def challenger(self, alias: str) -> "RunFolder":
        """Return the folder of a challenger's own plan, staged rows and records, inside this one."""
        return RunFolder(self.path / CHALLENGERS / alias)

    def file(self, *parts: str) -> Path:
        """Return a path inside the folder."""
        return self.path.joinpath(*parts)

    def folder(self, *parts: str) -> Path:
        """Return a folder inside the folder, made if need be."""
        path = self.path.joinpath(*parts)
        with self.writing():
            path.mkdir(parents=True, exist_ok=True)
        return path

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Turn an `OSError` of the body (disk full, read-only, ...) into `RunFolderUnusable`."""
        try:
            yield
        except OSError as error:
            raise RunFolderUnusable(str(self.path), error.strerror or str(error)) from error

    def has(self, name: str) -> bool:
        """Whether a file is there."""
        return self.file(name).is_file()

    def write_text(self, name: str, text: str) -> None:
        """Write a file atomically: readers see the old one or the new one, also after a crash."""
        target = self.file(name)
        partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
        with self.writing():
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with partial.open("w", encoding="utf-8") as stream:
                    stream.write(text)
                    stream.flush()
                    os.fsync(stream.fileno())
                partial.replace(target)
            finally:
                partial.unlink(missing_ok=True)

    def write_json(self, name: str, value: BaseModel | dict[str, Any]) -> None:
        """Write a record or a dictionary as JSON, atomically."""
        text = value.model_dump_json(indent=2) if isinstance(value, BaseModel) else json.dumps(value, indent=2)
        self.write_text(name, text + "\n")

    def read_record(self, name: str, record: type[RecordT], *, step: str) -> RecordT:
        """Read a record for `step`; one that is not there, or of another format, raises `StepOutOfOrder`."""
        try:
            return record.model_validate_json(self.file(name).read_bytes())
        except FileNotFoundError as error:
            raise StepOutOfOrder(step, needs=name, folder=str(self.path)) from error
        except ValidationError as error:
            raise StepOutOfOrder(step, needs=f"a {name} of this version of Lockstep", folder=str(self.path)) from error

    def plan(self, *, step: str) -> Plan:
        """Read `plan.json`."""
        return self.read_record(PLAN, Plan, step=step)

    def claim(self, *, step: str) -> Claim:
        """Read `claim.json`."""
        return self.read_record(CLAIM, Claim, step=step)

    def scoring_input(self, *, step: str) -> ScoringInput:
        """Read `input.json`."""
        return self.read_record(INPUT, ScoringInput, step=step)

    def manifest(self, *, step: str) -> Manifest:
        """Read `manifest.json`."""
        return self.read_record(MANIFEST, Manifest, step=step)

    @contextlib.contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Record when `step` began and how long it took, in seconds, in `timings/<step>.json`."""
        began, clock = dt.datetime.now(dt.UTC), time.monotonic()
        yield
        seconds = round(time.monotonic() - clock, 3)
        self.write_json(f"{TIMINGS}/{step}.json", {"step": step, "began_at": began.isoformat(), "seconds": seconds})

    def timings(self) -> list[dict[str, Any]]:
        """Return the recorded timings in the order in which the steps began."""
        found = [json.loads(p.read_text(encoding="utf-8")) for p in self.file(TIMINGS).glob("*.json")]
        return sorted(found, key=lambda timing: str(timing["began_at"]))
