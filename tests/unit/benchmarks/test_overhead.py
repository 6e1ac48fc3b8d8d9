"""Every second of a DAG run has one cause."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.overhead import CAUSES, CHAIN, Task, causes_of, mean

T0 = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
STEPS = st.lists(st.floats(0, 100), min_size=7, max_size=7)


def at(seconds: float) -> dt.datetime:
    return T0 + dt.timedelta(seconds=seconds)


def test_each_cause_is_told_apart() -> None:
    plan = Task("plan", scheduled=at(1), queued=at(3), start=at(6), end=at(20), command=at(10))
    gate = Task("gate", at(25), at(31), at(38), end=at(70), command=at(40), began=at(43), seconds=20)
    score = Task("score", at(71), at(71), at(71), end=at(90), command=at(76), began=at(75), seconds=14)
    assert causes_of([plan, gate, score], start=at(0), end=at(92)) == {
        "ends": 1 + 2,
        "hop": 5 + 1,
        "wait": 2 + 6,
        "start": 3 + 7,
        "process": 4 + 2 + 4,
        "choose": 10,
        "command": 3,
        "work": 20 + 14,
        "report": 7 + 1,
    }


@given(st.lists(STEPS, min_size=1, max_size=8), st.booleans())
def test_they_add_up_to_the_length_of_the_run(gaps: list[list[float]], is_timed: bool) -> None:
    now, tasks = 0.0, []
    for name, (*first, work, end) in zip(CHAIN, gaps, strict=False):
        scheduled, queued, start, command, began = (at(now := now + gap) for gap in first)
        now += work + end
        timed = {"began": began, "seconds": work} if is_timed else {}
        tasks.append(Task(name, scheduled, queued, start, end=at(now), command=command, **timed))
    found = causes_of(tasks, start=at(0), end=at(now + 1))
    assert sum(found.values()) == pytest.approx(now + 1, abs=1e-3)
    assert all(seconds >= -1e-3 for seconds in found.values())
    assert mean([found, found]) == pytest.approx(found)
    assert set(found) == set(CAUSES)
