"""Time = a * rows + b, learnt."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.serving.cost import Cost


def learnt(a: float, b: float, *, noise: float = 0.0, batches: int = 300) -> Cost:
    cost, rng = Cost(), random.Random(1)
    for _ in range(batches):
        rows = rng.randint(1, 500)
        cost.learn(rows, (a * rows + b) * (1 + rng.uniform(-noise, noise)))
    return cost


@given(st.floats(1e-7, 1e-2), st.floats(1e-6, 1e-1))
def test_the_line_is_found(a: float, b: float) -> None:
    cost = learnt(a, b)
    for rows in (1, 64, 500):
        assert cost.predict(rows) == pytest.approx(a * rows + b, rel=0.05)


def test_noise_does_not_mislead_it() -> None:
    cost = learnt(1e-5, 1e-3, noise=0.3)
    assert cost.predict(250) == pytest.approx(1e-5 * 250 + 1e-3, rel=0.2)


def test_it_follows_a_machine_that_gets_slower() -> None:
    cost = learnt(1e-5, 1e-3)
    for _ in range(600):
        cost.learn(100, 4e-3)
    assert cost.predict(100) == pytest.approx(4e-3, rel=0.05)


def test_one_pause_counts_little() -> None:
    cost = learnt(1e-5, 1e-3)
    cost.learn(100, 60.0)
    assert cost.predict(100) < 4e-3


@given(st.lists(st.tuples(st.integers(0, 1000), st.floats(0, 10)), max_size=30))
def test_no_prediction_is_negative(seen: list[tuple[int, float]]) -> None:
    cost = Cost()
    for rows, seconds in seen:
        cost.learn(rows, seconds)
    assert cost.predict(1) >= 0
    assert cost.predict(10_000) >= cost.predict(1)


@given(st.floats(0, 1), st.integers(1, 100_000))
def test_as_many_rows_fit_as_the_prediction_says(seconds: float, most: int) -> None:
    cost = learnt(1e-5, 1e-3)
    rows = cost.rows_within(seconds, most=most)
    assert 0 <= rows <= most
    assert rows == 0 or cost.predict(rows) <= seconds * 1.001
