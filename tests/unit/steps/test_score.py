"""Units shared out over tasks."""

from hypothesis import given
from hypothesis import strategies as st

from lockstep.run.plan import Unit
from lockstep.steps.score import MOST_UNITS_A_TASK, share_out


def units(count: int) -> list[Unit]:
    return [Unit(id=f"u{number:05d}", pieces=(), rows=1, size_bytes=1) for number in range(count)]


@given(count=st.integers(0, 200), cores=st.integers(0, 64))
def test_each_unit_is_in_one_task_and_tasks_get_smaller(count: int, cores: int) -> None:
    given_units = units(count)
    tasks = share_out(given_units, cores=cores)
    assert [unit for task in tasks for unit in task] == given_units
    sizes = [len(task) for task in tasks]
    assert sizes == sorted(sizes, reverse=True)
    assert max(sizes, default=0) <= MOST_UNITS_A_TASK
    assert not sizes or sizes[-1] == 1


def test_cores_that_are_not_outnumbered_get_a_unit_each() -> None:
    assert [len(task) for task in share_out(units(8), cores=4)] == [1] * 8
    assert [len(task) for task in share_out(units(20), cores=2)] == [4, 4, 3, 3, 2, 1, 1, 1, 1]
