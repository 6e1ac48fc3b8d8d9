"""The score's histogram, where the score is a number."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lockstep.quality.histogram import BINS, score_histogram


def staged(folder: Path, values: pa.Array) -> list[Path]:
    pq.write_table(pa.table({"score": values}), folder / "0.parquet")
    return [folder / "0.parquet"]


def test_shares_of_a_probability(tmp_path: Path) -> None:
    found = score_histogram(staged(tmp_path, pa.array([0.0, 0.5, 1.0, float("nan")])), "score", baseline=None)
    assert found is not None
    assert (len(found.shares), found.edges[0], found.edges[-1], found.mean) == (BINS, 0.0, 1.0, 0.5)
    assert sum(found.shares) == pytest.approx(1)


@pytest.mark.parametrize(
    "values",
    [pa.array([[1.0, 2.0]], pa.list_(pa.float32(), 2)), pa.array(["late"]), pa.array([None], pa.float64())],
    ids=["tensor", "label", "null"],
)
def test_no_number_no_histogram(tmp_path: Path, values: pa.Array) -> None:
    assert score_histogram(staged(tmp_path, values), "score", baseline=None) is None
