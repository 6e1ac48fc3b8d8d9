"""The log as files: which there are, whose rows they hold, and which of these the batch can score again."""

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lockstep.serving.inference_log.errors import LogNotFound, NotALog
from lockstep.serving.inference_log.files import PARQUET
from lockstep.serving.inference_log.layout import DATE, Layout, layout_of
from lockstep.specs.fields import IDENTIFIER


@dataclass(frozen=True)
class LogFile:
    """A file of the log: whose rows, and how many."""

    path: Path
    layout: Layout
    rows: int


@dataclass(frozen=True)
class Group:
    """Files whose rows one run of the batch can score: of one artifact, in one precision, with the same columns.

    Attributes:
        layout: Of all of them, apart from the device and what says nothing of a score.
        files: In the order of their names.
    """

    layout: Layout
    files: tuple[LogFile, ...]

    @property
    def rows(self) -> int:
        """Rows of all files."""
        return sum(file.rows for file in self.files)

    @property
    def devices(self) -> tuple[str, ...]:
        """Where the rows were scored."""
        return tuple(sorted({file.layout.device for file in self.files}))


def find_files(root: Path, *, model: str | None = None, day: dt.date | None = None) -> list[LogFile]:
    """Find the finished files of a log.

    Args:
        root: Folder of the log, or of a part of it.
        model: Only of this model.
        day: Only of this day, in UTC.

    Returns:
        Files in the order of their names.

    Raises:
        LogNotFound: There is no such folder.
        NotALog: A file below it is none of a log.
    """
    if not root.exists():
        raise LogNotFound(str(root))
    found = (_read(path) for path in sorted(_parquet_files(root)) if day is None or _is_of(path, day))
    return [file for file in found if model is None or file.layout.model_name == model]


def grouped(files: Iterable[LogFile]) -> list[Group]:
    """Put files together whose rows one run can score."""
    found: dict[str, list[LogFile]] = {}
    for file in files:
        same = file.layout.model_copy(update={"device": "", "sample": 1.0, "personal": {}})
        found.setdefault(same.model_dump_json(), []).append(file)
    return [Group(some[0].layout, tuple(some)) for some in found.values()]


def obstacle(layout: Layout) -> str | None:
    """Say why rows cannot be scored again and compared, or none when they can."""
    changed = [f"{each.column.name} ({each.policy})" for each in layout.inputs if not each.kept]
    if changed:
        return f"inputs were redacted: {', '.join(changed)}"
    outputs = [each for each in layout.outputs if each.kept]
    if not outputs:
        return "all outputs were redacted"
    odd = [each.column.name for each in outputs if not IDENTIFIER.fullmatch(each.column.name)]
    return f"no scoring spec can name the outputs {', '.join(odd)}" if odd else None


def read_rows(file: LogFile, columns: Sequence[str]) -> pa.Table:
    """Read columns of a file.

    Raises:
        NotALog: It cannot be read.
    """
    try:
        with pq.ParquetFile(file.path) as opened:
            return opened.read(columns=list(columns))
    except (pa.ArrowException, OSError) as error:
        raise NotALog(str(file.path), problem="its rows cannot be read") from error


def _read(path: Path) -> LogFile:
    try:
        with pq.ParquetFile(path) as opened:
            return LogFile(path, layout_of(opened.schema_arrow), opened.metadata.num_rows)
    except (pa.ArrowException, OSError) as error:
        raise NotALog(str(path), problem="it cannot be read as Parquet") from error
    except ValueError as error:
        raise NotALog(str(path), problem=str(error)) from error


def _parquet_files(root: Path) -> Iterator[Path]:
    if root.is_file():
        yield root
        return
    for path in root.rglob(f"*{PARQUET}"):
        if not any(part.startswith(".") for part in path.relative_to(root).parts):
            yield path


def _is_of(path: Path, day: dt.date) -> bool:
    return f"{DATE}={day.isoformat()}" in path.parts
