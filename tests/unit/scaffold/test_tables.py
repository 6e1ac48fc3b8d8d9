"""What a table is that somebody names: kind, columns, days."""

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lockstep.errors import TableNotFound
from lockstep.scaffold.tables import find_table

ROWS = pa.table(
    {
        "id": pa.array([1, 2], pa.int64()),
        "day": pa.array([dt.date(2024, 1, 1), dt.date(2024, 1, 3)]),
        "text": ["one", "two"],
        "at": pa.array([dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 3)]),  # noqa: DTZ001 - a column without a zone
    }
)


def written(folder: Path, *parts: str) -> Path:
    for part in parts or ("part-0.parquet",):
        file = folder / part
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(ROWS, file)
    return folder


def test_a_file_and_a_folder_are_found_below_the_current_folder_or_the_data_root(tmp_path: Path) -> None:
    written(tmp_path / "here" / "sales")
    written(tmp_path / "data" / "orders")
    for text, path in (("sales", str(tmp_path / "here" / "sales")), ("orders", "orders")):
        found = find_table(text, data_root=tmp_path / "data", here=tmp_path / "here")
        assert (found.table.format, found.table.path) == ("parquet", path)
        assert [(day.name, day.first, day.last) for day in found.days] == [
            ("day", dt.date(2024, 1, 1), dt.date(2024, 1, 3))
        ]
        assert found.times == ("at",)


def test_days_of_folders_come_first(tmp_path: Path) -> None:
    names = ("snapshot=2024-02-01/a.parquet", "snapshot=2024-02-05/a.parquet", "snapshot=2024-02-03/kind=x/a.parquet")
    found = find_table(str(written(tmp_path / "t", *names)), data_root=tmp_path, here=tmp_path)
    assert next((day.name, day.first, day.last) for day in found.days) == (
        "snapshot",
        dt.date(2024, 2, 1),
        dt.date(2024, 2, 5),
    )
    assert {"snapshot", "kind"} <= set(found.columns)


def test_a_delta_table_is_told_by_its_log(tmp_path: Path) -> None:
    deltalake = pytest.importorskip("deltalake")
    deltalake.write_deltalake(str(tmp_path / "lake"), ROWS.select(["id", "day"]), partition_by=["day"])
    found = find_table("lake", data_root=tmp_path, here=tmp_path)
    assert (found.table.format, found.table.path) == ("delta", "lake")
    assert [(day.name, day.first, day.last) for day in found.days] == [
        ("day", dt.date(2024, 1, 1), dt.date(2024, 1, 3))
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("nowhere", "there is no such file or folder (looked for"),
        ("mysql://me@host/db", "tables of a database are not read directly"),
        ("postgresql://me:hunter2@host/db#a.b", "must hold no credentials"),
        ("postgresql+psycopg://me:hunter2@host/db#a.b", "must hold no credentials"),
        ("table.csv", "copy it to Parquet first"),
    ],
)
def test_what_is_no_table_is_told_with_a_way_on(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("id\n1\n")
    with pytest.raises(TableNotFound) as caught:
        find_table(text, data_root=tmp_path / "data", here=tmp_path)
    assert told in str(caught.value)
    assert "me@host" not in str(caught.value)
    assert "hunter2" not in str(caught.value)
