"""Units shared out over tasks."""

from types import SimpleNamespace
from typing import Any

import pytest

from lockstep.steps.score import MOST_TASKS, count_tasks


@pytest.mark.parametrize(
    ("master", "units", "tasks"),
    [
        ("local[2]", 20, 2),
        ("local[2]", 1, 1),
        ("local[*]", 2, 2),
        ("spark://master:7077", 20, 20),
        ("yarn", 3, 3),
        ("yarn", 10**6, MOST_TASKS),
    ],
)
def test_a_core_of_this_machine_gets_a_task_and_a_cluster_one_for_each_unit(
    master: str, units: int, tasks: int
) -> None:
    session: Any = SimpleNamespace(sparkContext=SimpleNamespace(master=master, defaultParallelism=2))
    assert count_tasks(session, units) == tasks
