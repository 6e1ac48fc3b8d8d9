"""What all workers of an endpoint are to serve: a file that whoever changes something writes and the others watch.

A worker that was told to load, unload or roll back does so itself and posts it; the others follow within a moment, and
one that is started later begins with it.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

FILE = "board.json"
# Written by each worker once it answers.
READY = "ready-{index}"


@dataclass(frozen=True)
class Wanted:
    """What is to be served of one model.

    Attributes:
        version: The version that answers; none: the model is unloaded.
        passed_over: Digest that its alias names but that is not to serve.
    """

    version: int | None
    passed_over: str | None = None


class Board:
    """The board of one endpoint.

    Args:
        folder: Shared by its workers.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._lock = FileLock(folder / f"{FILE}.lock")
        self._seen = 0

    def post(self, name: str, wanted: Wanted) -> None:
        """Write what is to be served of a model."""
        with self._lock:
            content = {**self._read(), name: asdict(wanted)}
            partial = self._path.with_suffix(f".{os.getpid()}")
            partial.write_text(json.dumps(content), encoding="utf-8")
            partial.replace(self._path)

    def read(self) -> dict[str, Wanted]:
        """Return what is to be served of each model that somebody changed."""
        return {name: Wanted(**wanted) for name, wanted in self._read().items()}

    def news(self) -> Mapping[str, Wanted] | None:
        """Return the same when it was written since the last call, else none."""
        try:
            written = self._path.stat().st_mtime_ns
        except FileNotFoundError:
            return None
        if written == self._seen:
            return None
        self._seen = written
        return self.read()

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            found: dict[str, dict[str, Any]] = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return found
