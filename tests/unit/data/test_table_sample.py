"""A sample of a day has rows from all of its parts, and as many as wanted."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lockstep.data.table_sample import spread_rows
from lockstep.scoring.units import plan_units


@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.integers(1, 60))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
def test_rows_come_from_every_unit(tmp_path: Path, sizes: list[int], most: int) -> None:
    for number, size in enumerate(sizes):
        pq.write_table(pa.table({"file": [number] * size, "row": range(size)}), tmp_path / f"{number}.parquet")
    names = [f"{number}.parquet" for number in range(len(sizes))]
    units = plan_units(tmp_path, names, unit_bytes=1 << 20, unit_rows=50)
    found = spread_rows(tmp_path, units, columns=["file", "row"], most=most)
    assert found.num_rows == min(most, sum(sizes))
    pairs = list(zip(*found.to_pydict().values(), strict=True))
    assert len(set(pairs)) == len(pairs)
    assert all(row < sizes[file] for file, row in pairs)


def test_rows_of_all_parts(tmp_path: Path) -> None:
    for number in range(4):
        pq.write_table(pa.table({"file": [number] * 1_000}), tmp_path / f"{number}.parquet")
    units = plan_units(tmp_path, [f"{number}.parquet" for number in range(4)], unit_bytes=1 << 20)
    files = spread_rows(tmp_path, units, columns=["file"], most=100).column("file").to_pylist()
    assert len(files) == 100
    assert all(20 <= files.count(number) <= 32 for number in range(4))
