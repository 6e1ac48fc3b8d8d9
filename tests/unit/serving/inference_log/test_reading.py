"""Which files are the log's, and which rows the batch can score again."""

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lockstep.run.plan import Column
from lockstep.serving.inference_log.errors import LogNotFound, NotALog
from lockstep.serving.inference_log.files import hour_folder
from lockstep.serving.inference_log.layout import Layout, logged_columns
from lockstep.serving.inference_log.reading import find_files, grouped, obstacle, read_rows
from lockstep.serving.inference_log.spool import OPEN
from tests.unit.serving.inference_log.micro_batches import layout
from tests.unit.serving.inference_log.test_recording import entries_of, record, trace

HOUR = 490_000


def put(root: Path, name: str, made: Layout | None = None, *, hour: int = HOUR, rows: int = 2) -> Path:
    made = made or layout()
    folder = hour_folder(root, made.model_name, hour)
    folder.mkdir(parents=True, exist_ok=True)
    batch = record(entries_of(made, [(trace(name), 0, rows)]), take_ids=range, salt=b"s" * 64)
    pq.write_table(pa.Table.from_batches([batch]), folder / f"{name}.parquet")
    return folder / f"{name}.parquet"


def test_finished_files_are_found_by_model_and_day(tmp_path: Path) -> None:
    one, next_day = put(tmp_path, "a"), put(tmp_path, "b", hour=HOUR + 24, rows=5)
    other = put(tmp_path, "c", layout().model_copy(update={"model_name": "other"}))
    (tmp_path / OPEN).mkdir()
    (tmp_path / OPEN / "half.parquet").write_bytes(b"PAR1")
    assert {file.path: file.rows for file in find_files(tmp_path)} == {one: 2, next_day: 5, other: 2}
    assert [file.path for file in find_files(tmp_path, model="other")] == [other]
    day = dt.date.fromisoformat(next_day.parents[1].name.removeprefix("date="))
    assert [file.path for file in find_files(tmp_path, day=day)] == [next_day]
    assert [file.path for file in find_files(next_day.parent)] == [next_day]
    assert [file.path for file in find_files(one)] == [one]
    assert find_files(one)[0].layout == layout()


def test_what_is_no_log_is_said(tmp_path: Path) -> None:
    with pytest.raises(LogNotFound, match="no inference log at"):
        find_files(tmp_path / "nowhere")
    (tmp_path / "a.parquet").write_bytes(b"not Parquet")
    with pytest.raises(NotALog, match="cannot be read as Parquet"):
        find_files(tmp_path)
    pq.write_table(pa.table({"x": [1]}), tmp_path / "a.parquet")
    with pytest.raises(NotALog, match="does not say which model"):
        find_files(tmp_path)
    [file] = find_files(put(tmp_path, "b"))
    with pytest.raises(NotALog, match="rows cannot be read"):
        read_rows(file.__class__(tmp_path / "gone.parquet", file.layout, 1), ["row"])


def test_rows_of_one_artifact_are_scored_together_wherever_they_were(tmp_path: Path) -> None:
    made = layout()
    same = [made, made.model_copy(update={"device": "cuda:0"}), made.model_copy(update={"sample": 0.5})]
    others = [
        layout(version=4),
        made.model_copy(update={"precision": "bfloat16"}),
        made.model_copy(update={"model_digest": "e" * 64}),
        layout({"note": "drop"}),
    ]
    for number, each in enumerate([*same, *others]):
        put(tmp_path, f"f{number}", each, rows=number + 1)
    found = grouped(find_files(tmp_path))
    assert [(group.rows, group.devices) for group in found] == [
        (6, ("cpu", "cuda:0")),
        *((n, ("cpu",)) for n in (4, 5, 6, 7)),
    ]


def test_rows_that_were_redacted_cannot_be_scored_again() -> None:
    assert obstacle(layout()) is None
    assert obstacle(layout({"note": "hash", "at": "drop"})) == "inputs were redacted: at (drop), note (hash)"
    assert obstacle(layout({"probability": "null"})) == "all outputs were redacted"
    odd, _ = logged_columns((Column(name="class 1", dtype="double"),), (), {}, unlisted="keep")
    assert obstacle(layout().model_copy(update={"outputs": odd})) == "no scoring spec can name the outputs class 1"
