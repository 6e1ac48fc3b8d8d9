"""A sample of a day has rows from all of its parts, and never more than wanted."""

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
    assert found.num_rows <= most
    assert found.num_rows >= min(most, sum(sizes)) / len(units)
    pairs = list(zip(*found.to_pydict().values(), strict=True))
    assert len(set(pairs)) == len(pairs)
    assert all(row < sizes[file] for file, row in pairs)
    if most >= sum(sizes) * len(units):
        assert found.num_rows == sum(sizes)
