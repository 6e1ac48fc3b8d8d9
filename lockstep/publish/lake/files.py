"""Staged files inside the folder of a table: linked there on a disk, copied there in a store, never rewritten."""

import contextlib
import datetime as dt
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lockstep.errors import PublishError, StoreUnusable
from lockstep.publish.contract import PublishRequest, StagedFile
from lockstep.storage.files import Location
from lockstep.storage.files import location as location_of
from lockstep.storage.objects import ObjectPath
from lockstep.storage.stores import SCHEMES

DIGEST_DIGITS = 16
# Requests to a store that are waited for side by side.
AT_ONCE = 16
# S3 copies no larger object in one request; such a file is uploaded in parts.
LARGEST_COPY_BYTES = 5 * 10**9


def table_folder(location: str, *, what: str) -> Location:
    """Return the folder of a path, a `file://` URL or the URL of a store.

    Raises:
        PublishError: It is elsewhere.
    """
    try:
        return location_of(location)
    except ValueError:
        raise PublishError(
            f"{what} lies at {location.partition('://')[0]}://…; Lockstep publishes to disks and to "
            f"{', '.join(SCHEMES)}. Nothing was published and what was live stays."
        ) from None


def url(path: Location) -> str:
    """Return the URL of a file of a table."""
    return str(path) if isinstance(path, ObjectPath) else f"file://{path}"


def placed_name(request: PublishRequest, file: StagedFile) -> str:
    """Return where a staged file lies, relative to the folder of data; the same content has the same name."""
    return f"{request.partition_column}={request.partition}/{request.run_key}-{file.sha256[:DIGEST_DIGITS]}.parquet"


def place_files(folder: Location, request: PublishRequest, files: Sequence[StagedFile]) -> list[str]:
    """Bring staged files below `folder`; return their names there.

    On a disk they are linked, or copied where links are impossible: a link costs nothing and shares the bytes, so the
    run folder may be deleted later. In a store they are copied by the store itself where it has them, and uploaded
    otherwise. Repeating it is safe; what was interrupted never has the final name.

    Raises:
        PublishError: The folder cannot be written.
        StoreUnusable: The store refuses, or is away.
    """
    placed = [placed_name(request, file) for file in files]
    try:
        if isinstance(folder, ObjectPath):
            with ThreadPoolExecutor(AT_ONCE) as pool:
                list(pool.map(_store, files, [folder / name for name in placed]))
            return placed
        for target in {(folder / name).parent for name in placed}:
            target.mkdir(parents=True, exist_ok=True)
        for file, name in zip(files, placed, strict=True):
            _link(file, folder / name)
    except StoreUnusable:
        raise
    except OSError as error:
        raise PublishError(
            f"staged files cannot be brought into {folder}: {error.strerror or error}. Nothing was published and what "
            "was live stays. Make room or give the right to write there, then run the same command again."
        ) from error
    return placed


def _link(file: StagedFile, target: Path) -> None:
    if _is_there(file, target):
        return
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        try:
            os.link(file.path, partial)
        except OSError:
            shutil.copyfile(file.path, partial)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _store(file: StagedFile, target: ObjectPath) -> None:
    if _is_there(file, target):
        return
    origin = file.origin
    if origin is not None and origin.root == target.root and file.size_bytes <= LARGEST_COPY_BYTES:
        with contextlib.suppress(FileNotFoundError):  # it was removed; what was verified is here
            origin.copy(target)
        if _is_there(file, target):
            return
    target.put(file.path)


def _is_there(file: StagedFile, target: Location) -> bool:
    try:
        return target.stat().st_size == file.size_bytes
    except FileNotFoundError:
        return False


def drop_files(
    folder: Location, *, referenced: set[str], keep: set[str], before: dt.datetime, dry_run: bool
) -> list[str]:
    """Delete files of ours below a folder that nothing refers to.

    Args:
        folder: Folder of a table's data.
        referenced: Paths or URLs of files that stay.
        keep: Run keys whose files stay.
        before: Files that came there later stay: a publication that is going on may be about to commit them.
        dry_run: Only say what would be deleted.

    Returns:
        A text for each file.
    """
    # The last two parts hold no character that a URL writes differently, but for the equals sign.
    stay = {"/".join(path.replace("%3D", "=").rsplit("/", 2)[1:]) for path in referenced}
    dropped = []
    for name, size_bytes, came_at in sorted(_partition_files(folder)):
        if name not in stay and came_at < before.timestamp() and _is_droppable(name, keep=keep):
            dropped.append(f"file {name} ({size_bytes:,} bytes)")
            if not dry_run:
                (folder / name).unlink(missing_ok=True)
    return dropped


def _is_droppable(name: str, *, keep: set[str]) -> bool:
    """Whether a file is ours and of no run that stays; or of a process that died while it copied."""
    base = name.partition("/")[2]
    if base.startswith("."):
        return base.endswith(".partial")
    run_key, _, digest = base.removesuffix(".parquet").partition("-")
    return base.endswith(".parquet") and len(digest) == DIGEST_DIGITS and run_key not in keep


def _partition_files(folder: Location) -> Iterator[tuple[str, int, float]]:
    """Yield the files of partitions: name as seen from the folder, size, and when they came there."""
    if isinstance(folder, ObjectPath):
        for name, facts in folder.files_below():
            if "=" in name.partition("/")[0] and name.count("/") == 1:
                yield name, facts.st_size, facts.st_mtime
        return
    for path in folder.glob("*=*/*"):
        found = path.stat()
        yield f"{path.parent.name}/{path.name}", found.st_size, found.st_ctime
