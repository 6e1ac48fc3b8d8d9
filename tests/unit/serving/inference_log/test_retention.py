"""The log is kept for as long as it is said, and nothing else is touched."""

import datetime as dt
import os
import time
from pathlib import Path

import pytest

from lockstep.serving.inference_log.retention import finish_abandoned, remove_old
from lockstep.serving.inference_log.spool import OPEN

TODAY = dt.date(2026, 11, 5)


def put(root: Path, day: str, hour: str = "00", *, size: int = 10, model: str = "m") -> Path:
    folder = root / model / f"date={day}" / f"hour={hour}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "v1-a.parquet").write_bytes(b"x" * size)
    return folder


def test_days_before_the_kept_ones_go(tmp_path: Path) -> None:
    old, kept, today = put(tmp_path, "2026-11-02"), put(tmp_path, "2026-11-03"), put(tmp_path, "2026-11-05")
    other = put(tmp_path, "2020-01-01", model="n")
    strange = [tmp_path / "m" / "date=someday", tmp_path / "m" / "notes", tmp_path / OPEN]
    for folder in strange:
        folder.mkdir()
    assert remove_old(tmp_path, today=TODAY, keep_days=2, keep_bytes=None) == 2
    assert [folder.exists() for folder in (old, other, kept, today, *strange)] == [
        False,
        False,
        True,
        True,
        True,
        True,
        True,
    ]
    assert remove_old(tmp_path, today=TODAY, keep_days=2, keep_bytes=None) == 0


def test_beyond_the_bytes_the_oldest_hours_go_but_never_the_last(tmp_path: Path) -> None:
    hours = [put(tmp_path, "2026-11-04", "22"), put(tmp_path, "2026-11-04", "23"), put(tmp_path, "2026-11-05", "00")]
    own = put(tmp_path, "2026-11-01", size=25, model="n")
    assert remove_old(tmp_path, today=TODAY, keep_days=None, keep_bytes=25) == 1
    assert [hour.exists() for hour in (*hours, own)] == [False, True, True, True]
    assert remove_old(tmp_path, today=TODAY, keep_days=None, keep_bytes=1) == 1
    assert [hour.exists() for hour in (*hours, own)] == [False, False, True, True]


def test_without_bounds_all_is_kept(tmp_path: Path) -> None:
    folder = put(tmp_path, "2001-01-01")
    assert remove_old(tmp_path, today=TODAY, keep_days=None, keep_bytes=None) == 0
    assert remove_old(tmp_path / "nothing", today=TODAY, keep_days=1, keep_bytes=1) == 0
    assert folder.exists()


@pytest.mark.parametrize(("age_s", "stays"), [(60, True), (100_000, False)])
def test_a_stream_never_begun_goes_after_a_day(age_s: int, stays: bool, tmp_path: Path) -> None:
    (tmp_path / OPEN).mkdir()
    unseen = tmp_path / OPEN / "w-1.new"
    unseen.touch()
    then = time.time() - age_s
    os.utime(unseen, (then, then))
    assert finish_abandoned(tmp_path) == []
    assert unseen.exists() == stays
