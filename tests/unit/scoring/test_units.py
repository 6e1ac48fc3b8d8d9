"""Work units hold every row exactly once, whatever the row groups and the target size."""

import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.scoring.units import plan_units, read_unit


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 40), max_size=4), st.integers(1, 15), st.integers(1, 4000), st.integers(1, 50))
def test_every_row_once_and_in_order(sizes: list[int], group_rows: int, unit_bytes: int, batch_rows: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        root, files, start = Path(name), [], 0
        for number, size in enumerate(sizes):
            table = pa.table({"id": pa.array(range(start, start + size), pa.int64()), "x": [0.0] * size})
            pq.write_table(table, root / f"{number}.parquet", row_group_size=group_rows)
            files.append(f"{number}.parquet")
            start += size
        units = plan_units(root, files, unit_bytes=unit_bytes)
        batches = [b for u in units for b in read_unit(root, u, columns=["id"], batch_rows=batch_rows)]
        read = [row for batch in batches for row in batch.column("id").to_pylist()]
    assert read == list(range(start))
    assert sum(unit.rows for unit in units) == start
    assert all(batch.num_rows <= batch_rows and batch.schema.names == ["id"] for batch in batches)
    assert len({unit.id for unit in units}) == len(units)


def test_small_row_groups_are_packed_and_big_ones_stand_alone(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": list(range(1000))}), tmp_path / "f.parquet", row_group_size=100)
    assert len(plan_units(tmp_path, ["f.parquet"], unit_bytes=1)) == 10
    assert len(plan_units(tmp_path, ["f.parquet"], unit_bytes=1 << 30)) == 1
