"""The queue of units: each is taken once, whatever the tasks do."""

import itertools
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.errors import RunFolderUnusable
from lockstep.run import queue as queues
from lockstep.run.folder import RunFolder
from lockstep.run.plan import Unit
from lockstep.run.queue import QUEUE, UnitQueue, clear_queues
from lockstep.storage.files import Location
from tests.unit.storage.buckets import bucket_in_memory


def units_of(count: int) -> list[Unit]:
    return [Unit(id=f"u{number:05d}", pieces=(), rows=number, size_bytes=1) for number in range(count)]


UNITS = units_of(12)


@pytest.fixture
def folder(place: Location) -> RunFolder:
    return RunFolder(place)


def by_id(units: Iterable[Unit]) -> list[Unit]:
    return sorted(units, key=lambda unit: unit.id)


@pytest.mark.parametrize("stored", [False, True])
@given(
    st.integers(0, 12), st.lists(st.integers(0, 3), max_size=40), st.integers(1, 5), st.sampled_from([1, 3, 5, 1000])
)
def test_each_unit_goes_to_one_task(stored: bool, count: int, turns: list[int], width: int, block: int) -> None:
    with TemporaryDirectory() as path, pytest.MonkeyPatch.context() as patch:
        patch.setattr(queues, "BLOCK", block)
        queue = UnitQueue(RunFolder(bucket_in_memory(patch) if stored else Path(path)), "job")
        queue.open(UNITS[:count], width=width)
        tasks: dict[int, Iterator[Unit]] = {task: queue.units(task=task) for task in range(4)}
        taken: dict[int, list[Unit]] = {task: [] for task in tasks}
        for task in turns:
            taken[task] += itertools.islice(tasks[task], 1)
        for task, units in tasks.items():
            taken[task] += units
        assert by_id(itertools.chain.from_iterable(taken.values())) == UNITS[:count]
        assert width > 1 or all(some == by_id(some) for some in taken.values()), "in the wanted order"


def test_tasks_that_run_side_by_side_begin_apart(folder: RunFolder) -> None:
    queue = UnitQueue(folder, "job")
    queue.open(UNITS, width=3)
    assert [next(queue.units(task=task)) for task in (0, 1, 2, 3)] == [UNITS[0], UNITS[2], UNITS[4], UNITS[1]]


def test_racing_tasks_share_without_overlap(folder: RunFolder) -> None:
    units = units_of(300)
    UnitQueue(folder, "job").open(units, width=8)
    taken: list[list[Unit]] = [[] for _ in range(8)]
    barrier = threading.Barrier(8)

    def work(task: int) -> None:
        queue = UnitQueue(folder, "job")
        barrier.wait()
        taken[task].extend(queue.units(task=task))

    threads = [threading.Thread(target=work, args=(task,)) for task in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert by_id(itertools.chain.from_iterable(taken)) == units


@pytest.mark.parametrize("block", [1, 2, 1000])
def test_a_task_that_is_tried_again_first_gets_what_it_had_taken(
    folder: RunFolder, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "BLOCK", block)
    queue = UnitQueue(folder, "job")
    queue.open(UNITS[:4])
    first, other = queue.units(task=1), queue.units(task=11)
    assert (next(first), next(other), next(first)) == (UNITS[0], UNITS[1], UNITS[2])
    again = UnitQueue(folder, "job").units(task=1)  # the worker died
    assert list(again) == [UNITS[0], UNITS[2], UNITS[3]]
    assert not list(other)


def test_tasks_of_a_job_that_has_ended_find_nothing(folder: RunFolder) -> None:
    queue = UnitQueue(folder, "earlier")
    queue.open(UNITS)
    orphan = queue.units(task=0)
    assert next(orphan) == UNITS[0]
    clear_queues(folder)
    UnitQueue(folder, "later").open(UNITS)
    assert not list(orphan)
    assert not list(UnitQueue(folder, "earlier").units(task=1))
    assert list(UnitQueue(folder, "later").units(task=0)) == UNITS
    clear_queues(folder)
    clear_queues(folder)
    assert not folder.file(QUEUE).exists()


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    (tmp_path / QUEUE).write_text("")
    with pytest.raises(RunFolderUnusable):
        UnitQueue(folder, "job").open(UNITS)
