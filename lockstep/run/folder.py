"""The run folder: all that a scoring run knows, so that any step can run anywhere and be retried."""

import contextlib
import datetime as dt
import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from lockstep.errors import RunFolderUnusable, StepOutOfOrder
from lockstep.run.manifest import Manifest
from lockstep.run.plan import Claim, Plan, ScoringInput
from lockstep.storage.files import (
    Location,
    create,
    discard,
    draft,
    hand_in,
    hand_in_tree,
    local_copy,
    location,
    make_folder,
    names_below,
    remove_tree,
    write_whole,
)
from lockstep.storage.objects import ObjectPath

RecordT = TypeVar("RecordT", bound=BaseModel)

PLAN, CLAIM, INPUT, MANIFEST = "plan.json", "claim.json", "input.json", "manifest.json"
GATE, AUDIT, PUBLICATION = "gate.json", "audit.json", "publication.json"
TIMINGS, REPORT, DRIFT = "timings", "report.html", "drift.parquet"
CHALLENGERS, COMPARISON, CANARY = "challengers", "comparison.json", "canary.json"
# Files that are read from a store at a time, and records that are held at most.
READERS, READ_AHEAD = 32, 1024


@dataclass(frozen=True)
class RunFolder:
    """One run folder, on a disk or in an object store (`lockstep.storage`).

    Files appear whole or not at all; each has one writer, the step named after it.
    """

    path: Location

    @classmethod
    def at(cls, text: str) -> "RunFolder":
        """Return the folder that a path or URL names, as plans and ledgers hold it."""
        return cls(location(text))

    @classmethod
    def of(cls, runs_root: Location, *, spec: str, partition: dt.date, run_key: str) -> "RunFolder":
        """Return the folder of a run (which need not exist)."""
        return cls(runs_root / spec / partition.isoformat() / run_key)

    def challenger(self, alias: str) -> "RunFolder":
        """Return the folder of a challenger's own plan, staged rows and records, inside this one."""
        return RunFolder(self.path / CHALLENGERS / alias)

    def file(self, *parts: str) -> Location:
        """Return a path inside the folder."""
        return self.path.joinpath(*parts)

    def folder(self, *parts: str) -> Location:
        """Return a folder inside the folder, made if need be."""
        path = self.path.joinpath(*parts)
        with self.writing():
            make_folder(path)
        return path

    def local(self, name: str) -> Path:
        """Return a file that never changes as one of this machine: itself, or a copy that ends with the process."""
        with self.writing():
            return local_copy(self.file(name))

    def local_files(self, names: Sequence[str]) -> list[Path]:
        """Return files as `local` does; those in a store are fetched side by side."""
        if not isinstance(self.path, ObjectPath):
            return [self.local(name) for name in names]
        with self.writing(), ThreadPoolExecutor(READERS) as pool:
            return list(pool.map(local_copy, map(self.file, names)))

    def draft(self, name: str) -> Path:
        """Return where to write a large file that `hand_in` then makes the file of that name."""
        path = self.file(name)
        make_folder(path.parent)
        return draft(path)

    def hand_in(self, written: Path, name: str, *, begun: bool = False) -> None:
        """Make a finished draft, or any local file, the file of a name.

        Args:
            written: The draft.
            name: Of the file.
            begun: It was begun (`begin`), and counts only if nobody has removed it since.

        Raises:
            FileNotFoundError: It was begun, and removed since.
            RunFolderUnusable: It cannot be written.
        """
        try:
            hand_in(written, self.file(name), begun=begun)
        except FileNotFoundError:
            if begun:
                raise
            raise RunFolderUnusable(str(self.path), f"{written.name} has gone") from None
        except OSError as error:
            raise RunFolderUnusable(str(self.path), error.strerror or str(error)) from error

    def discard(self, written: Path, name: str) -> None:
        """Forget a draft of a name that will not be handed in."""
        discard(written, self.file(name))

    def hand_in_tree(self, written: Path, name: str) -> None:
        """Put a local folder in the place of the folder of a name."""
        with self.writing():
            hand_in_tree(written, self.file(name))

    def create(self, name: str, data: bytes) -> bool:
        """Write a file if there is none, and say whether we did; `data` names the writer."""
        path = self.file(name)
        with self.writing():
            make_folder(path.parent)
            return create(path, data)

    def remove(self, name: str) -> None:
        """Remove a file, or a folder with all that is in it, if it is there."""
        path = self.file(name)
        with self.writing():
            path.unlink(missing_ok=True) if path.is_file() else remove_tree(path)

    def begin(self, name: str) -> None:
        """Make an empty file, which tells that somebody is at work on it."""
        path = self.file(name)
        with self.writing():
            make_folder(path.parent)
            write_whole(path, b"") if isinstance(path, ObjectPath) else path.touch()

    def partial_names(self, *names: str) -> list[str]:
        """Return what writers that died left of a file, or of the files of a folder: none in a store."""
        if isinstance(self.path, ObjectPath):
            return []
        found = [self.path.glob(pattern) for name in names for pattern in (f".{name}.*.partial", f"{name}/.*.partial")]
        return [str(path.relative_to(self.path)) for each in found for path in each]

    def names(self, folder: str) -> list[str]:
        """Return the files below a folder, as `read_record` takes them, in order; none if it is not there."""
        below = PurePosixPath(folder).as_posix()
        with self.writing():
            return sorted(f"{below}/{name}" for name in names_below(self.file(folder)))

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Turn an `OSError` of the body (disk full, read-only, ...) into `RunFolderUnusable`."""
        try:
            yield
        except OSError as error:
            raise RunFolderUnusable(str(self.path), error.strerror or str(error)) from error

    def has(self, name: str) -> bool:
        """Whether a file is there."""
        with self.writing():
            return self.file(name).is_file()

    def write_text(self, name: str, text: str) -> None:
        """Write a file atomically: readers see the old one or the new one, also after a crash."""
        with self.writing():
            write_whole(self.file(name), text.encode("utf-8"))

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

    def read_records(self, names: Sequence[str], record: type[RecordT], *, step: str) -> Iterator[RecordT]:
        """Read many records, in the order of the names; in a store side by side, as each has to be waited for."""
        if not isinstance(self.path, ObjectPath):
            yield from (self.read_record(name, record, step=step) for name in names)
            return
        with ThreadPoolExecutor(READERS) as pool:
            for first in range(0, len(names), READ_AHEAD):  # so that few records wait to be taken
                some = names[first : first + READ_AHEAD]
                yield from pool.map(lambda name: self.read_record(name, record, step=step), some)

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
        found = [json.loads(self.file(name).read_bytes()) for name in self.names(TIMINGS) if name.endswith(".json")]
        return sorted(found, key=lambda timing: str(timing["began_at"]))
