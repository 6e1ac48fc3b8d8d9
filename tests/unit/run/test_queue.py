"""The queue of units: each is taken once, whatever the tasks do."""

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.errors import RunFolderUnusable
from lockstep.run.folder import RunFolder
from lockstep.run.queue import QUEUE, UnitQueue, clear_queues
from lockstep.storage.files import Location
from tests.unit.storage.buckets import bucket_in_memory

UNITS = [f"u{number:05d}" for number in range(12)]


@pytest.fixture
def folder(place: Location) -> RunFolder:
    return RunFolder(place)


@pytest.mark.parametrize("stored", [False, True])
@given(st.integers(0, 12), st.lists(st.integers(0, 3), max_size=40))
def test_each_unit_goes_to_one_task_in_the_wanted_order(stored: bool, count: int, turns: list[int]) -> None:
    with TemporaryDirectory() as path, pytest.MonkeyPatch.context() as patch:
        queue = UnitQueue(RunFolder(bucket_in_memory(patch) if stored else Path(path)), "job")
        queue.open()
        tasks: dict[int, Iterator[str]] = {task: queue.units(UNITS[:count], task=task) for task in range(4)}
        taken: dict[int, list[str]] = {task: [] for task in tasks}
        for task in turns:
            taken[task] += itertools.islice(tasks[task], 1)
        for task, units in tasks.items():
            taken[task] += units
        assert sorted(itertools.chain.from_iterable(taken.values())) == UNITS[:count]
        assert all(some == sorted(some) for some in taken.values())


def test_racing_tasks_share_without_overlap(folder: RunFolder) -> None:
    names = [f"u{number:05d}" for number in range(300)]
    UnitQueue(folder, "job").open()
    taken: list[list[str]] = [[] for _ in range(8)]
    barrier = threading.Barrier(8)

    def work(task: int) -> None:
        queue = UnitQueue(folder, "job")
        barrier.wait()
        taken[task].extend(queue.units(names, task=task))

    threads = [threading.Thread(target=work, args=(task,)) for task in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(itertools.chain.from_iterable(taken)) == names


def test_a_task_that_is_tried_again_first_gets_what_it_had_taken(folder: RunFolder) -> None:
    queue = UnitQueue(folder, "job")
    queue.open()
    first, other = queue.units(UNITS[:4], task=1), queue.units(UNITS[:4], task=11)
    assert (next(first), next(other), next(first)) == (UNITS[0], UNITS[1], UNITS[2])
    again = UnitQueue(folder, "job").units(UNITS[:4], task=1)  # the worker died
    assert list(again) == [UNITS[0], UNITS[2], UNITS[3]]
    assert not list(other)


def test_tasks_of_a_job_that_has_ended_find_nothing(folder: RunFolder) -> None:
    queue = UnitQueue(folder, "earlier")
    queue.open()
    orphan = queue.units(UNITS, task=0)
    assert next(orphan) == UNITS[0]
    clear_queues(folder)
    UnitQueue(folder, "later").open()
    assert not list(orphan)
    assert list(UnitQueue(folder, "later").units(UNITS, task=0)) == UNITS
    clear_queues(folder)
    clear_queues(folder)
    assert not folder.file(QUEUE).exists()


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    (tmp_path / QUEUE).write_text("")
    with pytest.raises(RunFolderUnusable):
        UnitQueue(folder, "job").open()
