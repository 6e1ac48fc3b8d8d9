"""Staged files inside the folder of a table: linked there, never rewritten."""

import contextlib
import datetime as dt
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from lockstep.errors import PublishError
from lockstep.publish.contract import PublishRequest, StagedFile

DIGEST_DIGITS = 16


def local_folder(location: str, *, what: str) -> Path:
    """Return the folder of a `file://` URL or path.

    Raises:
        PublishError: It is elsewhere.
    """
    parts = urlsplit(location)
    if parts.scheme not in {"", "file"}:
        raise PublishError(
            f"{what} lies at {parts.scheme}://{parts.netloc}/…; Lockstep publishes to local folders so far. "
            "Nothing was published and what was live stays."
        )
    return Path(location.removeprefix("file://"))


def placed_name(request: PublishRequest, file: StagedFile) -> str:
    """Return where a staged file lies, relative to the folder of data; the same content has the same name."""
    return f"{request.partition_column}={request.partition}/{request.run_key}-{file.sha256[:DIGEST_DIGITS]}.parquet"


def place_files(folder: Path, request: PublishRequest, files: Sequence[StagedFile]) -> list[Path]:
    """Link staged files below `folder`, or copy them where links are impossible; return their paths.

    A link costs nothing and shares the bytes, so the run folder may be deleted later. Repeating it is safe; a copy
    that was interrupted never has the final name.

    Raises:
        PublishError: The folder cannot be written.
    """
    placed = [folder / placed_name(request, file) for file in files]
    try:
        for target in {path.parent for path in placed}:
            target.mkdir(parents=True, exist_ok=True)
        for file, target in zip(files, placed, strict=True):
            _place(file, target)
    except OSError as error:
        raise PublishError(
            f"staged files cannot be brought into {folder}: {error.strerror or error}. Nothing was published and what "
            "was live stays. Make room or give the right to write there, then run the same command again."
        ) from error
    return placed


def _place(file: StagedFile, target: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        if target.stat().st_size == file.size_bytes:
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


def drop_files(folder: Path, *, referenced: set[str], keep: set[str], before: dt.datetime, dry_run: bool) -> list[str]:
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
    stay = {tuple(path.replace("%3D", "=").rsplit("/", 2)[1:]) for path in referenced}
    dropped = []
    for path in sorted(folder.glob("*=*/*.parquet")):
        named, ours = path.name.partition("-")[0], len(path.stem.partition("-")[2]) == DIGEST_DIGITS
        if (
            ours
            and (path.parent.name, path.name) not in stay
            and named not in keep
            and path.stat().st_ctime < before.timestamp()
        ):
            dropped.append(f"file {path.parent.name}/{path.name} ({path.stat().st_size:,} bytes)")
            if not dry_run:
                path.unlink(missing_ok=True)
    for path in sorted(folder.glob("*=*/.*.partial")):  # of a process that died while it copied
        if path.stat().st_ctime < before.timestamp():
            dropped.append(f"file {path.parent.name}/{path.name} ({path.stat().st_size:,} bytes)")
            if not dry_run:
                path.unlink(missing_ok=True)
    return dropped
