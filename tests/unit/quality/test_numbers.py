import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lockstep.quality import numbers as numbers_module
from lockstep.quality.numbers import Numbers, is_plain, moments_of, read_numbers
from lockstep.quality.rows import staged_rows

WHOLE = hnp.arrays(np.int64, st.integers(0, 60), elements=st.integers(-(2**63), 2**63 - 1))
REAL = hnp.arrays(np.float64, st.integers(0, 60), elements=st.floats(-1e6, 1e6))


def read(array: pa.Array, *, parts: int = 1) -> Numbers:
    size = math.ceil(len(array) / parts) or 1
    readers = [[pa.record_batch({"x": array[start : start + size]})] for start in range(0, max(len(array), 1), size)]
    return read_numbers(readers, {"x": True})["x"]


@given(WHOLE, st.integers(1, 5))
def test_sums_of_whole_numbers_are_exact(values: np.ndarray, parts: int) -> None:
    found = read(pa.array(values), parts=parts).moments
    assert found.count == len(values)
    assert found.total == (sum(values.tolist()) if len(values) else None)


@given(REAL, st.integers(1, 5))
def test_moments_of_parts_are_those_of_the_whole(values: np.ndarray, parts: int) -> None:
    found = read(pa.array(values), parts=parts).moments
    if len(values) < 2:
        assert found.deviation is None
        return
    assert (found.low, found.high) == (values.min(), values.max())
    assert found.total == pytest.approx(math.fsum(values), abs=1e-6)
    assert found.deviation == pytest.approx(values.std(ddof=1), rel=1e-9, abs=1e-6)


def test_blocks_are_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(1e6, 1, 1000)
    monkeypatch.setattr(numbers_module, "BLOCK_VALUES", 7)
    assert moments_of(values).deviation == pytest.approx(values.std(ddof=1), rel=1e-9)


@pytest.mark.parametrize(
    ("values", "total"),
    [([math.inf, 1.0], math.inf), ([math.inf, -math.inf], math.nan), ([1e200, 1.0], 1e200)],
    ids=str,
)
def test_what_is_too_large_to_be_squared_has_no_deviation(values: list[float], total: float) -> None:
    found = moments_of(np.array(values))
    assert found.deviation is None
    assert found.total == pytest.approx(total, nan_ok=True)


def test_null_and_nan_are_no_numbers() -> None:
    found = read(pa.array([1.0, None, math.nan, 3.0]))
    assert (found.nulls, found.moments.count, found.moments.total) == (2, 2, 4.0)
    assert not found.surely_differ


@pytest.mark.parametrize(
    ("files", "differ"),
    [
        ([[1, 2], [3, 9]], True),
        ([[3, 9], [1, 2]], True),
        ([[1, 3], [2, 9]], False),
        ([[1, 2], [2, 9]], False),
        ([[2, 1], [3, 9]], False),
        ([[1, 1], [3, 9]], False),
        ([[-(2**63), 0], [1, 2**63 - 1]], True),
    ],
    ids=str,
)
def test_order_alone_says_that_numbers_differ(tmp_path: Path, files: list[list[int]], differ: bool) -> None:
    paths = [tmp_path / f"{number}.parquet" for number in range(len(files))]
    for path, values in zip(paths, files, strict=True):
        pq.write_table(pa.table({"x": pa.array(values, pa.int64())}), path)
    found = read_numbers(staged_rows(paths, where="x").readers(["x"]), {"x": True})["x"]
    assert found.surely_differ is differ
    assert np.concatenate(found.values).tolist() == [value for values in files for value in values]


@pytest.mark.parametrize(
    ("kind", "plain"),
    [(pa.int8(), True), (pa.uint64(), True), (pa.float32(), True), (pa.bool_(), False), (pa.date32(), False)],
    ids=str,
)
def test_plain(kind: Any, plain: bool) -> None:
    assert is_plain(kind) is plain
