"""How long the log is kept: by days, and by the bytes of each model."""

import datetime as dt
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from lockstep.serving.inference_log.files import PARQUET, finish
from lockstep.serving.inference_log.layout import DATE, HOUR
from lockstep.serving.inference_log.spool import NEW, OPEN, SUFFIX

# A stream that was never begun, because its process ended within microseconds.
ABANDONED_S = 86_400.0


def remove_old(root: Path, *, today: dt.date, keep_days: int | None, keep_bytes: int | None) -> int:
    """Remove what is kept no longer; other processes may do the same at the same time.

    Args:
        root: Folder of the log.
        today: In UTC.
        keep_days: Days before today that are kept; none: all.
        keep_bytes: Most bytes of each model, of which the oldest hours go first, but never the youngest; none: all.

    Returns:
        Folders removed.
    """
    removed = 0
    for model in _folders(root):
        days = [(day, folder) for folder in _folders(model) if (day := _day(folder)) is not None]
        if keep_days is not None:
            for day, folder in days:
                if day < today - dt.timedelta(days=keep_days):
                    shutil.rmtree(folder, ignore_errors=True)
                    removed += 1
        if keep_bytes is not None:
            removed += _remove_beyond([folder for _, folder in sorted(days)], keep_bytes)
    return removed


def _remove_beyond(days: list[Path], keep_bytes: int) -> int:
    hours = [hour for day in days if day.is_dir() for hour in sorted(_folders(day)) if hour.name.startswith(f"{HOUR}=")]
    sizes = [sum(file.stat().st_size for file in hour.glob(f"*{PARQUET}")) for hour in hours]
    total, removed = sum(sizes), 0
    for hour, size in list(zip(hours, sizes, strict=True))[:-1]:
        if total <= keep_bytes:
            break
        shutil.rmtree(hour, ignore_errors=True)
        total -= size
        removed += 1
    return removed


def finish_abandoned(root: Path) -> list[Path]:
    """Turn the spools of processes that were killed into files.

    Returns:
        The files.

    Raises:
        OSError: One cannot be written; it is still there, and the others are files.
        ValueError: One is not of this version of Lockstep, and is still there too.
    """
    folder = root / OPEN
    for unseen in folder.glob(f"*{NEW}"):
        if time.time() - unseen.stat().st_mtime > ABANDONED_S:
            unseen.unlink(missing_ok=True)
    files, problems = [], []
    for spool in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            file = finish(root, spool)
        except (OSError, ValueError) as error:
            problems.append(error)
        else:
            files += [file] if file is not None else []
    if problems:
        raise problems[0]
    return files


def _folders(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from (each for each in folder.iterdir() if each.is_dir() and not each.name.startswith("."))


def _day(folder: Path) -> dt.date | None:
    name, _, value = folder.name.partition("=")
    try:
        return dt.date.fromisoformat(value) if name == DATE else None
    except ValueError:
        return None
