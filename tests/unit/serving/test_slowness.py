"""Other work of the endpoint is learnt from how long requests wait."""

import pytest

from lockstep.serving.slowness import DEVIATIONS, MOST, Slowness


def test_it_comes_to_what_waits_are() -> None:
    slowness = Slowness()
    assert slowness.factor == 1.0
    for waited_s, expected_s, mean in ((0.3, 0.1, 3.0), (0.05, 0.1, 1.0), (9.0, 0.01, MOST)):
        for _ in range(200):
            slowness.learn(waited_s, expected_s)
        # None is taken for shorter than what the model needs, and none for longer than it may be.
        assert slowness.mean == pytest.approx(mean, rel=0.01)
        assert slowness.deviation < 0.1


def test_uneven_waits_count_for_more_than_their_mean() -> None:
    slowness = Slowness()
    for number in range(400):
        slowness.learn(0.3 if number % 2 else 0.1, 0.1)
    assert slowness.mean == pytest.approx(2.0, rel=0.05)
    assert slowness.factor == pytest.approx(slowness.mean + DEVIATIONS, rel=0.1)
