import threading
import time
from pathlib import Path

import pytest

from lockstep.serving.security.errors import SecurityFileInvalid
from lockstep.serving.security.reloading import RETRY_S, FollowedFiles, Refresher, read_file


class Counted:
    """Something to refresh that counts, and fails when told to."""

    def __init__(self, *, delay_s: float) -> None:
        self.wake = threading.Event()
        self.times: list[float] = []
        self.done = threading.Semaphore(0)
        self.fails = False
        self._delay_s = delay_s

    def refresh(self, *, now: float) -> float:
        self.times.append(now)
        self.done.release()
        if self.fails:
            raise RuntimeError("a bug")
        return self._delay_s


def test_a_missing_file_stops_the_start(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    with pytest.raises(SecurityFileInvalid, match="cannot be read: No such file"):
        FollowedFiles([path], lambda: read_file(path))


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    with path.open("wb") as file:
        file.truncate(17 * 2**20)
    with pytest.raises(SecurityFileInvalid, match="larger than"):
        read_file(path)


def test_files_are_read_when_they_change_and_only_then(tmp_path: Path) -> None:
    path, reads = tmp_path / "keys", 0
    path.write_text("one")

    def load() -> bytes:
        nonlocal reads
        reads += 1
        return read_file(path)

    followed = FollowedFiles([path], load)
    for now in range(5):
        followed.refresh(now=now)
    settled = reads
    for now in range(5, 10):
        followed.refresh(now=now)
    assert reads == settled == 2  # once more, in case of a second change within one tick
    path.write_text("two!")
    followed.refresh(now=10)
    assert followed.current == b"two!"


def test_the_same_value_stays_the_same_object(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("one")
    followed = FollowedFiles([path], lambda: [read_file(path)])
    first = followed.current
    path.write_text("one")
    followed.refresh(now=1)
    assert followed.current is first


def test_what_failed_for_a_passing_reason_is_tried_again(tmp_path: Path) -> None:
    path, fails = tmp_path / "keys", False
    path.write_text("one")

    def load() -> bytes:
        if fails:
            raise SecurityFileInvalid(path, ["out of handles"])
        return read_file(path)

    followed = FollowedFiles([path], load)
    path.write_text("two")
    fails = True
    followed.refresh(now=1)
    followed.refresh(now=2)
    fails = False
    followed.refresh(now=3)
    assert followed.current == b"one"
    followed.refresh(now=2 + RETRY_S)
    assert (followed.current, followed.problem) == (b"two", None)


def test_a_wake_does_not_wait_and_an_error_ends_nothing() -> None:
    slow, broken = Counted(delay_s=3600), Counted(delay_s=3600)
    broken.fails = True
    refresher = Refresher([slow, broken])
    refresher.start()
    for thing in (slow, broken):
        thing.wake.set()
        assert thing.done.acquire(timeout=5)
    slow.wake.set()
    assert slow.done.acquire(timeout=5)
    broken.wake.set()
    assert broken.done.acquire(timeout=5)
    begun = time.monotonic()
    refresher.close()
    assert time.monotonic() - begun < 1
    assert len(slow.times) == 2
    assert slow.times == sorted(slow.times)
