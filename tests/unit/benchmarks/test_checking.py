from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.checking import OutputWrong, count_rows, largest_difference, read_scores


def write(folder: Path, name: str, ids: list[int], scores: list[float | None]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"id": pa.array(ids, pa.int64()), "score": pa.array(scores, pa.float64())}), folder / name)


def test_scores_come_in_the_order_of_their_ids_from_all_files(tmp_path: Path) -> None:
    write(tmp_path / "u1", "b.parquet", [3, 0], [0.3, 0.0])
    write(tmp_path / "u2", "a.parquet", [1, 2], [0.1, 0.2])
    write(tmp_path, "_unfinished.parquet", [9], [9.0])
    assert read_scores(tmp_path).tolist() == [0.0, 0.1, 0.2, 0.3]
    assert count_rows(tmp_path) == 4


@pytest.mark.parametrize(
    ("ids", "scores"),
    [([0, 1, 3], [0.0, 0.1, 0.3]), ([0, 1, 1, 3], [0.0, 0.1, 0.1, 0.3]), ([0, 1], [0.0, None])],
    ids=["missing", "twice", "null"],
)
def test_rows_that_are_missing_twice_or_null_are_wrong(
    tmp_path: Path, ids: list[int], scores: list[float | None]
) -> None:
    write(tmp_path, "a.parquet", ids, scores)
    with pytest.raises(OutputWrong):
        read_scores(tmp_path)


def test_nothing_written_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(OutputWrong, match="no Parquet file"):
        read_scores(tmp_path)


def test_scores_may_differ_in_their_last_bits_only() -> None:
    wanted = np.array([0.1, 0.2])
    assert largest_difference(wanted + 1e-7, wanted) == pytest.approx(1e-7)
    with pytest.raises(OutputWrong, match="differ"):
        largest_difference(wanted + 1e-4, wanted)
    with pytest.raises(OutputWrong, match="1 rows, expected 2"):
        largest_difference(wanted[:1], wanted)
