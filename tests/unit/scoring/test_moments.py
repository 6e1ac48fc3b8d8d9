"""Moments: float32 sums are as good as float64's, and what is not finite is left out."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.scoring.moments import PIECE_ROWS, moments_of


@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(0, 5 * PIECE_ROWS),
    centre=st.sampled_from([0.0, 1.0, 2013.0, -1e6]),
    spread=st.sampled_from([0.0, 0.1, 1.0, 1e4]),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_mean_and_spread_are_those_of_float64(
    seed: int, rows: int, centre: float, spread: float, dtype: type[np.floating]
) -> None:
    values = (centre + spread * np.random.default_rng(seed).standard_normal(rows)).astype(dtype)
    exact = values.astype(np.float64)
    found = moments_of(values)
    assert found.known is values
    if not rows:
        assert (found.sum, found.sum_sq, found.min, found.max) == (0.0, 0.0, None, None)
        return
    assert (found.min, found.max) == (exact.min(), exact.max())
    mean, deviation = exact.mean(), exact.std()
    assert found.sum / rows == pytest.approx(mean, rel=1e-6, abs=1e-5 * deviation + 1e-12)
    variance = max(found.sum_sq / rows - (found.sum / rows) ** 2, 0.0)
    assert math.sqrt(variance) == pytest.approx(deviation, rel=1e-3, abs=1e-7 * abs(centre) + 1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nan_and_infinity_are_left_out(dtype: type[np.floating]) -> None:
    values = np.tile(np.array([1.0, np.nan, 3.0, np.inf, -np.inf], dtype), PIECE_ROWS)
    found = moments_of(values)
    assert len(found.known) == 2 * PIECE_ROWS
    assert (found.sum, found.sum_sq) == (4.0 * PIECE_ROWS, 10.0 * PIECE_ROWS)
    assert (found.min, found.max) == (1.0, 3.0)
    assert moments_of(np.full(9, np.nan, dtype)).min is None


def test_squares_beyond_float32_are_added_up_in_float64() -> None:
    values = np.linspace(-3e38, 3e38, 2 * PIECE_ROWS, dtype=np.float32)
    exact = values.astype(np.float64)
    assert moments_of(values).sum_sq == pytest.approx(exact @ exact, rel=1e-9)
