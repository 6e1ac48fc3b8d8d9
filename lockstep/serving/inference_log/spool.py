"""Rows on their way into a file of the log: an Arrow stream that keeps what was written when its process is killed.

Each spool belongs to one version and one hour. Whoever writes it holds a lock, which the kernel lets go with the
process, so that others can tell an abandoned spool and finish it. Its name becomes that of the file: finishing it
twice gives the same file.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

OPEN = ".open"  # below the log's folder; readers of tables pass hidden folders over
SUFFIX, NEW = ".arrows", ".new"
HOUR_S = 3600


@dataclass
class Spool:
    """A stream that is being written.

    Attributes:
        path: Of the stream.
        hour: Hours since 1970, of all its rows.
        opened: When, by `time.monotonic`.
        nbytes: Bytes of its rows.
        rows: Their number.
    """

    path: Path
    hour: int
    opened: float
    nbytes: int = 0
    rows: int = 0
    _lock: int = -1
    _sink: pa.NativeFile | None = None
    _writer: pa.ipc.RecordBatchStreamWriter | None = None

    @classmethod
    def create(cls, folder: Path, name: str, schema: pa.Schema, *, hour: int, now: float) -> "Spool":
        """Begin a stream, locked before anybody can see it.

        Args:
            folder: Of all spools.
            name: Of the stream and of the file that it becomes, unique.
            schema: Of the rows.
            hour: Hours since 1970.
            now: By `time.monotonic`.

        Raises:
            OSError: It cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        path, unseen = folder / f"{name}.{hour}{SUFFIX}", folder / f"{name}{NEW}"
        lock = os.open(unseen, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            sink = pa.OSFile(str(unseen), "wb")
            writer = pa.ipc.new_stream(sink, schema)
            unseen.rename(path)
        except BaseException:
            unseen.unlink(missing_ok=True)
            os.close(lock)
            raise
        return cls(path, hour, now, _lock=lock, _sink=sink, _writer=writer)

    def append(self, batch: pa.RecordBatch) -> None:
        """Write rows; after this they survive the process.

        Raises:
            OSError: They cannot be written. The spool holds what it held before; nothing more may be appended.
        """
        if self._writer is None:
            raise ValueError(f"{self.path} is closed")
        self._writer.write_batch(batch)
        self.nbytes += batch.nbytes
        self.rows += batch.num_rows

    def close(self) -> None:
        """End the stream and give the lock back."""
        for end in (self._writer, self._sink):
            if end is not None:
                with contextlib.suppress(OSError):  # the disk is full: without its end the stream can be read as well
                    end.close()
        self._writer = self._sink = None
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


@contextlib.contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Try to lock a spool that nobody writes; says whether it is ours for the time of the body."""
    try:
        lock = os.open(path, os.O_RDWR)
    except FileNotFoundError:  # somebody else has just finished it
        yield False
        return
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Finished and removed between the two calls above, the name is gone or is another file's.
            mine = path.stat().st_ino == os.fstat(lock).st_ino
        except (BlockingIOError, FileNotFoundError):
            mine = False
        yield mine
    finally:
        os.close(lock)


def hour_of(path: Path) -> int:
    """Return the hour of a spool, by its name."""
    return int(path.name.removesuffix(SUFFIX).rpartition(".")[2])


def stem_of(path: Path) -> str:
    """Return the name of the file that a spool becomes, without its ending."""
    return path.name.removesuffix(SUFFIX).rpartition(".")[0]


@contextlib.contextmanager
def reading(path: Path) -> Iterator[tuple[pa.Schema | None, Iterator[pa.RecordBatch]]]:
    """Read what a spool holds: its schema, none when not even that is whole, and every whole batch."""
    if not path.stat().st_size:
        yield None, iter(())
        return
    with pa.memory_map(str(path)) as source:
        try:
            stream = pa.ipc.open_stream(source)
        except (pa.ArrowInvalid, OSError):
            yield None, iter(())
            return
        yield stream.schema, _whole_batches(stream)


def _whole_batches(stream: pa.ipc.RecordBatchStreamReader) -> Iterator[pa.RecordBatch]:
    while True:
        try:
            batch = stream.read_next_batch()
            batch.validate()
        except (StopIteration, pa.ArrowInvalid, OSError):  # its end, or where its writer was killed
            return
        yield batch
