"""What a run folder needs of files, wherever it is: one function for a path on a disk and for one in a store."""

import atexit
import contextlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import TypeAlias

from lockstep.errors import InputError
from lockstep.storage.objects import ObjectPath
from lockstep.storage.stores import SCHEMES

Location: TypeAlias = Path | ObjectPath


def location(text: str) -> Location:
    """Return the path that a text means: absolute on the disk, or a URL of a store.

    Raises:
        ValueError: The URL is of no store that run folders can be in.
    """
    text = text.removeprefix("file://") if text.startswith("file:///") else text
    if "://" not in text:
        return Path(text).absolute()
    scheme, _, rest = text.partition("://")
    before_at = rest.partition("/")[0].rpartition("@")[0]  # a container of Azure's; a secret anywhere else
    odd = bool(before_at) and (":" in before_at or not scheme.startswith("abfs"))
    if scheme not in SCHEMES or not rest.partition("/")[0] or "?" in rest or odd:
        raise ValueError(f"a path, or a URL such as s3://bucket/folder of {', '.join(SCHEMES)}, without options")
    return ObjectPath.parse(text)


def write_whole(path: Location, data: bytes) -> None:
    """Write a file atomically: readers see the old one or the new one, also after a crash."""
    if isinstance(path, ObjectPath):
        path.put(data)
        return
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with partial.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def create(path: Location, data: bytes) -> bool:
    """Write a file if there is none, over NFS and in stores too; whether we did, or had done (`data` names its writer).

    On a disk the file may be seen empty for a moment.
    """
    if isinstance(path, ObjectPath):
        return path.create(data)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
    return True


def make_folder(path: Location) -> None:
    """Make a folder and those around it; in a store folders need no making."""
    if isinstance(path, Path):
        path.mkdir(parents=True, exist_ok=True)


def draft(path: Location) -> Path:
    """Return where to write a large file before `hand_in` makes it the file at `path`: itself, on a disk."""
    if isinstance(path, Path):
        return path
    return scratch() / f"{uuid.uuid4().hex}{path.suffix}"


def hand_in(written: Path, path: Location, *, begun: bool = False) -> None:
    """Put a finished `draft` where it belongs.

    Args:
        written: The draft.
        path: Where it belongs.
        begun: Only in the place of the empty file that told of it; if somebody has removed that, nothing is written.

    Raises:
        FileNotFoundError: It was begun, and removed.
    """
    if isinstance(path, Path):
        if written != path:
            written.replace(path)
        return
    try:
        path.replace(written) if begun else path.put(written)
    finally:
        written.unlink()
    with contextlib.suppress(OSError):  # workers of Spark end without tidying up
        written.parent.rmdir()


def discard(written: Path, path: Location) -> None:
    """Forget a draft that will not be handed in; on a disk it stays, as the file of an attempt that died."""
    if isinstance(path, ObjectPath):
        written.unlink(missing_ok=True)


def hand_in_tree(written: Path, path: Location) -> None:
    """Put a folder of finished files in the place of what is there; the disk's own is moved."""
    remove_tree(path)
    if isinstance(path, Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(written, path)
        return
    for file in sorted(written.rglob("*")):
        if file.is_file():
            (path / file.relative_to(written).as_posix()).put(file)
    shutil.rmtree(written)


def local_copy(path: Location) -> Path:
    """Return a file of this machine with what is at `path`, which never changes: itself, or a copy fetched once.

    The copy is gone when this process ends.

    Raises:
        OSError: It cannot be fetched.
    """
    return path if isinstance(path, Path) else _fetched(path, os.getpid())


@cache
def _fetched(path: ObjectPath, process: int) -> Path:  # noqa: ARG001 - a forked child has a folder of its own
    target = scratch() / f"{uuid.uuid4().hex}{path.suffix}"
    try:
        path.download(target)
    except OSError:
        target.unlink(missing_ok=True)
        raise
    return target


def scratch() -> Path:
    """Return a folder for files of this process alone, which is removed when it ends."""
    folder = _scratch(os.getpid())
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


@lru_cache(maxsize=1)
def _scratch(process: int) -> Path:
    folder = Path(tempfile.mkdtemp(prefix=f"lockstep-{process}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def found(path: Location, pattern: str) -> list[Location]:
    """Return what lies below a folder and fits a pattern without `**`, in order."""
    if isinstance(path, ObjectPath):
        return sorted(path.glob(pattern))
    return sorted(path.glob(pattern))


def on_disk(path: Location) -> Path:
    """Return a path that has to be on a disk of this machine.

    Raises:
        InputError: It is in a store.
    """
    if isinstance(path, ObjectPath):
        raise InputError(
            f"{path} is in an object store, and this writes to a disk only. Give a folder of this machine."
        )
    return path


def names_below(path: Location) -> Iterator[str]:
    """Return the files below a folder, as seen from there and in no order; none if it is not there."""
    if isinstance(path, ObjectPath):
        yield from (name for name, _ in path.files_below())
        return
    start = len(os.path.join(path, ""))  # noqa: PTH118 - a path object for each of a million folders would be slow
    for folder, _, names in os.walk(path):
        above = folder[start:]
        yield from (f"{above}/{name}" for name in names) if above else names


def remove_tree(path: Location) -> None:
    """Remove a folder with all that lies in it, if it is there."""
    if isinstance(path, ObjectPath):
        path.remove_tree()
    else:
        shutil.rmtree(path, ignore_errors=True)
