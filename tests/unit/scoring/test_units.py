"""Work units hold every row that counts exactly once, in order and in even shares, whatever the files are like."""

import datetime as dt
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lockstep.errors import ColumnMissing, ColumnTypeMismatch, FileUnreadable, SourceFileChanged
from lockstep.run.plan import DayFilter, Unit
from lockstep.scoring.units import OPEN_SHARE, DataFile, plan_units, read_unit

DAY = dt.date(2024, 1, 2)
FILES = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 25)), max_size=5)


def write(root: Path, files: Sequence[tuple[int, int]], **columns: Sequence[object]) -> list[str]:
    """Write files of (rows, rows of a row group) whose ids go on from one to the next."""
    names, start = [], 0
    for number, (rows, group_rows) in enumerate(files):
        some = {name: pa.array(values[start : start + rows]) for name, values in columns.items()}
        table = pa.table({"id": pa.array(range(start, start + rows), pa.int64()), "x": [0.5] * rows, **some})
        pq.write_table(table, root / f"{number}.parquet", row_group_size=group_rows)
        names.append(f"{number}.parquet")
        start += rows
    return names


def ids(root: Path, units: Sequence[Unit], *, batch_rows: int = 1000, batch_bytes: int = 1 << 20) -> list[int]:
    """Read the ids of all units; check batches and row counts on the way."""
    read: list[int] = []
    for unit in units:
        batches = list(read_unit(root, unit, columns=["id"], batch_rows=batch_rows, batch_bytes=batch_bytes))
        assert sum(batch.num_rows for batch in batches) == unit.rows > 0
        for batch in batches:
            assert 0 < batch.num_rows <= batch_rows
            assert batch.schema == pa.schema({"id": pa.int64()})
            assert batch.nbytes <= batch_bytes or batch.num_rows == 1
            read += batch.column("id").to_pylist()
    return read


@settings(deadline=None, max_examples=150)
@given(FILES, st.integers(1, 3000), st.integers(1, 50), st.integers(1, 400), st.integers(1, 30))
def test_every_row_once_and_in_order(
    files: list[tuple[int, int]], unit_bytes: int, batch_rows: int, batch_bytes: int, split_rows: int
) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        units = plan_units(root, write(root, files), unit_bytes=unit_bytes, split_rows=split_rows)
        assert ids(root, units, batch_rows=batch_rows, batch_bytes=batch_bytes) == list(range(sum(n for n, _ in files)))
    assert [unit.id for unit in units] == [f"u{number:05d}" for number in range(len(units))]


@settings(deadline=None, max_examples=100)
@given(st.data(), FILES, st.integers(1, 3000), st.integers(1, 30), st.booleans())
def test_only_the_rows_of_the_day(
    data: st.DataObject, files: list[tuple[int, int]], unit_bytes: int, split_rows: int, ordered: bool
) -> None:
    rows = sum(n for n, _ in files)
    some = st.sampled_from([DAY, DAY - dt.timedelta(days=1), DAY + dt.timedelta(days=1)] + [None] * (not ordered))
    days = data.draw(st.lists(some, min_size=rows, max_size=rows))
    days = sorted(days) if ordered else days
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        names = write(root, files, day=pa.array(days, pa.date32()))
        wanted = [DataFile(f, where=DayFilter(column="day", day=DAY)) for f in names]
        units = plan_units(root, wanted, unit_bytes=unit_bytes, split_rows=split_rows)
        assert ids(root, units) == [number for number, day in enumerate(days) if day == DAY]
    if ordered:
        assert all(piece.where is None for unit in units for piece in unit.pieces)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.integers(1, 400), min_size=1, max_size=40), st.integers(500, 20_000))
@example([1, 32, 301, 351], 2638)
def test_units_are_even_and_within_the_limit(sizes: list[int], unit_bytes: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        files = write(root, [(size, 50) for size in sizes])
        units = plan_units(root, files, unit_bytes=unit_bytes, split_rows=10)
        again = plan_units(root, files, unit_bytes=unit_bytes, split_rows=10)
        group = max(unit.size_bytes for unit in plan_units(root, files, unit_bytes=1, split_rows=10**6))
    assert units == again
    assert max(unit.size_bytes for unit in units) <= unit_bytes
    mean = sum(unit.size_bytes for unit in units) / len(units)
    opening = len(sizes) * unit_bytes / OPEN_SHARE  # counts as bytes when sizes are made even
    assert min(unit.size_bytes for unit in units) >= mean - 2 * group - opening


def test_small_row_groups_are_packed_and_big_ones_are_cut(tmp_path: Path) -> None:
    files = write(tmp_path, [(1000, 100)])
    assert len(plan_units(tmp_path, files, unit_bytes=1)) == 10
    assert [u.rows for u in plan_units(tmp_path, files, unit_bytes=1, split_rows=50)] == [50] * 20
    pieces = [u.pieces for u in plan_units(tmp_path, write(tmp_path, [(200, 20)]), unit_bytes=1 << 30)]
    assert [(p.row_group_start, p.row_group_stop, p.row_start, p.rows) for [p] in pieces] == [(0, 10, 0, 200)]


def test_many_small_files_make_one_unit(tmp_path: Path) -> None:
    files = write(tmp_path, [(7, 7)] * 30)
    [unit] = plan_units(tmp_path, files, unit_bytes=1 << 30)
    assert (len(unit.pieces), unit.rows) == (30, 210)
    assert len(plan_units(tmp_path, files, unit_bytes=4000)) > 1


def test_there_is_no_tiny_last_unit(tmp_path: Path) -> None:
    files = write(tmp_path, [(220, 2)])
    size = plan_units(tmp_path, files, unit_bytes=1 << 30)[0].size_bytes
    sizes = [unit.rows for unit in plan_units(tmp_path, files, unit_bytes=size * 10 // 11)]
    assert len(sizes) == 2
    assert min(sizes) >= 100


@pytest.mark.parametrize(("rows", "units"), [(1, 1), (511, 1), (512, 2), (2_700, 10), (100_000, 16)])
def test_small_inputs_make_units_for_several_workers(tmp_path: Path, rows: int, units: int) -> None:
    whole = plan_units(tmp_path, write(tmp_path, [(rows, rows)]), unit_bytes=1 << 30)
    assert len(whole) == units, "a small row group is cut"
    assert max(u.rows for u in whole) - min(u.rows for u in whole) <= 1


def test_a_unit_has_a_limit_of_rows_too(tmp_path: Path) -> None:
    files = write(tmp_path, [(100, 40), (200, 200)])
    units = plan_units(tmp_path, files, unit_bytes=1 << 30, unit_rows=50)
    assert [unit.rows for unit in units] == [40, 40, 20, 50, 50, 50, 50]


def test_only_the_wanted_columns_count_and_are_read(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": range(100), "text": ["long " * 50 + str(n) for n in range(100)]}), tmp_path / "f")
    all_of_it = plan_units(tmp_path, ["f"], unit_bytes=1 << 30)[0].size_bytes
    [unit] = plan_units(tmp_path, ["f"], unit_bytes=1 << 30, schema=pa.schema({"id": pa.int32()}))
    assert unit.size_bytes < all_of_it / 10
    [batch] = read_unit(tmp_path, unit, columns=["id", "nowhere"], batch_rows=1000, batch_bytes=1 << 20)
    assert batch.schema == pa.schema({"id": pa.int32()})


def test_texts_longer_than_the_footer_tells_are_cut(tmp_path: Path) -> None:
    texts = ["z"] * 50 + ["m" * 1000] * 50 + ["a"] * 50
    pq.write_table(pa.table({"t": texts}), tmp_path / "f", write_statistics=False)
    [unit] = plan_units(tmp_path, ["f"], unit_bytes=1 << 30)
    batches = list(read_unit(tmp_path, unit, columns=["t"], batch_rows=1000, batch_bytes=5000))
    assert [text for batch in batches for text in batch.column("t").to_pylist()] == texts
    assert max(batch.nbytes for batch in batches) <= 5000


def test_constants_renamed_and_added_columns(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [1, 2], "km": pa.array([1.5, None], pa.float32())}), tmp_path / "old")
    pq.write_table(pa.table({"far": [2.5], "id": pa.array([3], pa.int32())}), tmp_path / "new")
    schema = pa.schema({"far": pa.float64(), "day": pa.date32(), "shop": pa.string(), "id": pa.int64()})
    files = [
        DataFile("old", constants={"day": "2024-01-02", "shop": None}, renamed={"far": "km"}),
        DataFile("new", constants={"day": "2024-01-02", "shop": "a b"}),
    ]
    [unit] = plan_units(tmp_path, files, unit_bytes=1 << 30, schema=schema)
    table = pa.Table.from_batches(read_unit(tmp_path, unit, columns=schema.names, batch_rows=10))
    assert table.schema == schema
    assert table.to_pydict() == {
        "far": [1.5, None, 2.5], "day": [DAY] * 3, "shop": [None, None, "a b"], "id": [1, 2, 3],
    }  # fmt: skip
    only = list(read_unit(tmp_path, unit, columns=["shop"], batch_rows=1))
    assert [batch.column("shop").to_pylist() for batch in only] == [[None], [None], ["a b"]]


def test_a_constant_that_is_not_of_its_type(tmp_path: Path) -> None:
    files = write(tmp_path, [(3, 3)])
    wanted = [DataFile(files[0], constants={"hour": "noon"})]
    [unit] = plan_units(tmp_path, wanted, unit_bytes=1 << 30, schema=pa.schema({"hour": pa.int32()}))
    with pytest.raises(ColumnTypeMismatch, match=r"'hour' in the partition hour=noon of 0\.parquet.*expected int32"):
        list(read_unit(tmp_path, unit, columns=["hour"], batch_rows=1))


def test_tensors_keep_their_type(tmp_path: Path) -> None:
    kind = pa.list_(pa.float32(), 4)
    pq.write_table(pa.table({"v": pa.array([[1.0, 2.0, 3.0, 4.0]] * 100, kind)}), tmp_path / "f", row_group_size=30)
    units = plan_units(tmp_path, ["f"], unit_bytes=500, schema=pa.schema({"v": kind}), split_rows=7)
    batches = [b for u in units for b in read_unit(tmp_path, u, columns=["v"], batch_rows=8, batch_bytes=100)]
    assert sum(batch.num_rows for batch in batches) == 100
    assert {batch.schema.field("v").type for batch in batches} == {kind}
    assert max(batch.num_rows for batch in batches) <= 6


def test_reading_stops_when_it_is_no_longer_wanted(tmp_path: Path) -> None:
    [unit] = plan_units(tmp_path, write(tmp_path, [(200, 20)]), unit_bytes=1 << 30)
    batches: Iterator[pa.RecordBatch] = read_unit(tmp_path, unit, columns=["id"], batch_rows=10)
    next(batches)
    batches.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("content", "told"), [(b"", "0 bytes"), (b"not Parquet at all", "magic bytes"), (None, "no such")]
)
def test_a_file_that_is_no_parquet_file(tmp_path: Path, content: bytes | None, told: str) -> None:
    if content is not None:
        (tmp_path / "f").write_bytes(content)
    with pytest.raises(FileUnreadable, match=rf"input file f cannot be read: .*{told}.*expected a Parquet file"):
        plan_units(tmp_path, ["f"], unit_bytes=1)


def test_a_file_that_is_damaged_or_another_when_it_is_read(tmp_path: Path) -> None:
    [name] = write(tmp_path, [(5000, 5000)])
    file = tmp_path / name
    facts = file.stat()
    kept = DataFile(name, size_bytes=facts.st_size, mtime_ns=facts.st_mtime_ns)
    [unit], [checked] = plan_units(tmp_path, [name], unit_bytes=1), plan_units(tmp_path, [kept], unit_bytes=1)
    content = file.read_bytes()
    file.write_bytes(content[:4] + b"\xff" * 400 + content[404:])
    with pytest.raises(FileUnreadable, match=r"0\.parquet cannot be read"):
        list(read_unit(tmp_path, unit, columns=["id"], batch_rows=100))
    with pytest.raises(SourceFileChanged, match=rf"expected {facts.st_size:,} bytes of time {facts.st_mtime_ns}, got"):
        list(read_unit(tmp_path, checked, columns=["id"], batch_rows=100))


def test_a_day_column_that_is_missing_or_no_date(tmp_path: Path) -> None:
    [name] = write(tmp_path, [(3, 3)])
    for column, error in (("day", ColumnMissing), ("x", ColumnTypeMismatch)):
        with pytest.raises(error, match=rf"'{column}'"):
            plan_units(tmp_path, [DataFile(name, where=DayFilter(column=column, day=DAY))], unit_bytes=1)


def test_a_day_may_be_text(tmp_path: Path) -> None:
    names = write(tmp_path, [(6, 4)], day=["2024-01-02", "2024-01-03", None, "2024-01-02", "2024-01-02", "2024-01-01"])
    wanted = [DataFile(name, where=DayFilter(column="day", day=DAY)) for name in names]
    assert ids(tmp_path, plan_units(tmp_path, wanted, unit_bytes=1 << 20)) == [0, 3, 4]
