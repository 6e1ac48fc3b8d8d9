"""Leases among threads and among real processes that are stopped and killed."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from lockstep.errors import RunFolderUnusable
from lockstep.run.lease import Busy, Holder, Lease, Timing, taken
from lockstep.run.process_identity import own_identity
from lockstep.storage.files import Location, names_below, write_whole

QUICK = Timing(beat_s=0.05, expiry_s=0.6, poll_s=0.02)
HOLDER = """
import sys, time
from pathlib import Path
from lockstep.run.lease import Timing, taken
timing = Timing(beat_s=0.05, expiry_s=float(sys.argv[3]), poll_s=0.02)
with taken(Path(sys.argv[1]), owner="the other", purpose="score", wait_s=30, timing=timing) as lease:
    print("held", flush=True)
    end = time.monotonic() + float(sys.argv[2])
    while time.monotonic() < end and not lease.is_lost:
        time.sleep(0.01)
    print("lost" if lease.is_lost else "kept", flush=True)
"""


@contextmanager
def other_process(folder: Path, *, seconds: float = 60, expiry_s: float = 30) -> "Iterator[subprocess.Popen[str]]":
    """A process that holds the lease."""
    command = [sys.executable, "-c", HOLDER, str(folder), str(seconds), str(expiry_s)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        try:
            yield child
        finally:
            child.kill()


@contextmanager
def take(folder: Location, *, wait_s: float = 0.0, timing: Timing = QUICK) -> Iterator[Lease | Busy]:
    with taken(folder, owner="me", purpose="score", wait_s=wait_s, timing=timing) as got:
        yield got


def test_one_after_the_other_and_not_two_at_once(place: Location) -> None:
    for _ in range(20):
        with take(place) as first:
            assert isinstance(first, Lease)
            with take(place) as second:
                assert isinstance(second, Busy)
                assert f"me (score, process {os.getpid()} on " in second.holder
    assert len(list(names_below(place))) <= 9


def test_many_threads_that_want_it_have_it_one_at_a_time(place: Location) -> None:
    inside, most, had = threading.Semaphore(1), [], []

    def work(number: int) -> None:
        with take(place, wait_s=30, timing=Timing(0.05, 30, 0.001)) as got:
            assert isinstance(got, Lease)
            most.append(inside.acquire(blocking=False))
            time.sleep(0.002)
            inside.release()
            had.append(number)

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(work, range(60)))
    assert all(most)
    assert sorted(had) == list(range(60))


def test_who_waits_is_told_for_whom_and_goes_on_when_the_other_ends(tmp_path: Path) -> None:
    said: list[str] = []
    with other_process(tmp_path, seconds=0.5) as child:
        with taken(tmp_path, owner="me", purpose="score", wait_s=20, tell=said.append, timing=QUICK) as got:
            assert isinstance(got, Lease)
        assert len(said) == 1
        assert said[0].startswith(f"the other (score, process {child.pid} on ")
        assert child.stdout is not None
        assert child.stdout.readline() == "kept\n"


def test_kill_9_of_the_holder_frees_it_at_once_on_the_same_machine(tmp_path: Path) -> None:
    with other_process(tmp_path) as child:
        with take(tmp_path, wait_s=0.1, timing=Timing(0.05, 30, 0.02)) as got:
            assert isinstance(got, Busy)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        with take(tmp_path, wait_s=0, timing=Timing(0.05, 3600, 0.02)) as got:
            assert isinstance(got, Lease)


def test_a_holder_that_is_stopped_for_long_loses_it_and_learns_that(tmp_path: Path) -> None:
    with other_process(tmp_path, expiry_s=0.6) as child:
        os.kill(child.pid, signal.SIGSTOP)
        with take(tmp_path, wait_s=10) as got:
            assert isinstance(got, Lease)
            os.kill(child.pid, signal.SIGCONT)
            assert child.stdout is not None
            assert child.stdout.readline() == "lost\n"
            assert not got.is_lost


def test_a_holder_that_lives_keeps_it_however_wrong_the_clocks_are(tmp_path: Path) -> None:
    """The other machine's clock is an hour ahead, then an hour behind: only that the time changes counts."""
    file = foreign(tmp_path)
    stop = threading.Event()

    def beats() -> None:
        skew = 3600.0
        while not stop.wait(0.05):
            skew = -skew if int(time.time() * 2) % 2 else skew
            os.utime(file, (time.time() + skew, time.time() + skew))

    thread = threading.Thread(target=beats)
    thread.start()
    try:
        with take(tmp_path, wait_s=2.0) as got:
            assert isinstance(got, Busy)
    finally:
        stop.set()
        thread.join()
    with take(tmp_path, wait_s=10.0) as got:  # it beats no more
        assert isinstance(got, Lease)


def test_a_dead_holder_of_another_machine_is_waited_for_until_it_expires(place: Location) -> None:
    foreign(place)
    with take(place, wait_s=0.2) as got:
        assert isinstance(got, Busy)
    began = time.monotonic()
    with take(place, wait_s=10) as got:
        assert isinstance(got, Lease)
    assert time.monotonic() - began >= QUICK.expiry_s


def test_a_file_that_its_writer_never_filled_expires_too(tmp_path: Path) -> None:
    (tmp_path / "7").touch()
    with take(tmp_path, wait_s=0.1) as got:
        assert isinstance(got, Busy)
        assert got.holder == "a process that has not said its name yet"
    with take(tmp_path, wait_s=10) as got:
        assert isinstance(got, Lease)
        assert got.file.name == "8"


def test_many_that_find_the_same_dead_holder_do_not_both_take_over(place: Location) -> None:
    foreign(place)
    holders = []

    def work(_: int) -> None:
        with take(place, wait_s=1.5) as got:
            if isinstance(got, Lease):
                holders.append(got.file.name)
                time.sleep(3)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert holders == ["2"]


def test_a_folder_that_cannot_be_made_is_our_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunFolderUnusable, match="Not a directory"), take(tmp_path / "file" / "x"):
        pass


def foreign(folder: Location) -> Location:
    """The lease of a process of another machine, of which nothing else is known."""
    identity = own_identity().model_copy(update={"machine": "elsewhere", "host": "node-7", "pid": 1})
    holder = Holder(owner="far", purpose="score", identity=identity, taken_at="2024-01-01T00:00:00Z")
    file = folder / "1"
    write_whole(file, holder.model_dump_json().encode())
    return file
