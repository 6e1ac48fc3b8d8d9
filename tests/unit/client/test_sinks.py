"""Where predictions go: every kind reads back to the same bits, and a file is there whole or not at all."""

import csv
import datetime as dt
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lockstep.client.answers import Answer, Prediction
from lockstep.client.errors import OutputUnwritable, RowsUnfit
from lockstep.client.sinks import WRITERS, NewFile, with_outputs

SCORES = np.array([0.1 + 0.2, -5e-324, 1e308])
ANSWER = Answer("toy", "3", "d" * 64, "", "r", {}, 0, 3)


def prediction(**outputs: Any) -> Prediction:
    return Prediction(outputs or {"score": SCORES}, (ANSWER,))


def written(kind: str, *tables: pa.Table) -> bytes:
    stream = io.BytesIO()
    writer = WRITERS[kind](stream)
    for table in tables:
        writer.write(table)
    writer.close()
    return stream.getvalue()


def read_back(kind: str, content: bytes) -> list[float]:
    if kind == "parquet":
        return [float(value) for value in pq.read_table(io.BytesIO(content)).column("score").to_pylist()]
    if kind == "csv":
        return [float(row["score"]) for row in csv.DictReader(io.StringIO(content.decode()))]
    records = json.loads(content) if kind == "json" else [json.loads(line) for line in content.splitlines()]
    return [record["score"] for record in records]


@pytest.mark.parametrize("kind", WRITERS)
def test_scores_read_back_to_the_same_bits(kind: str) -> None:
    table = with_outputs(None, prediction())
    assert read_back(kind, written(kind, table, table)) == [*SCORES, *SCORES]
    assert read_back(kind, written(kind, table.slice(0, 0))) == []


def test_inputs_stand_beside_the_outputs() -> None:
    batch = {"score": ["a", None, "b"], "mixed": [1, "x", None], "more": [[1], [2, 3], []]}
    table = with_outputs(
        batch, prediction(score=SCORES, pair=np.ones((3, 2), dtype="f4"), word=np.array(list("abc"), object))
    )
    assert table.column_names == ["score", "mixed", "more", "predicted_score", "pair", "word"]
    assert table.column("mixed").to_pylist() == ["1", "x", None]
    assert table.column("pair").to_pylist() == [[1, 1]] * 3
    lines = written("csv", table).decode().splitlines()
    assert lines[1] == 'a,1,[1],0.30000000000000004,"[1.0,1.0]",a'
    own = with_outputs(pa.table({"day": [dt.date(2024, 1, 2)] * 3}), prediction())
    assert json.loads(written("jsonl", own).splitlines()[0])["day"] == "2024-01-02"


def test_columns_that_change_their_type_do_not_fit_into_parquet() -> None:
    with pytest.raises(RowsUnfit, match="another type"):
        written("parquet", pa.table({"a": [1]}), pa.table({"a": ["x"]}))


def test_a_file_is_there_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("before")
    with NewFile(path) as stream:
        stream.write(b"after")
        assert path.read_text() == "before"
    assert path.read_text() == "after"
    assert [each.name for each in tmp_path.iterdir()] == ["out.csv"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RowsUnfit("no")])
def test_nothing_is_left_of_a_file_that_is_not_finished(error: BaseException, tmp_path: Path) -> None:
    (tmp_path / "old.csv").write_text("before")

    def begin(name: str) -> None:
        with NewFile(tmp_path / name) as stream:
            stream.write(b"half")
            raise error

    for name in ("new.csv", "old.csv"):
        with pytest.raises(type(error)):
            begin(name)
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("old.csv", "before")]


def test_a_link_leads_to_the_new_file(tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to(tmp_path / "real.csv")
    with NewFile(tmp_path / "link.csv") as stream:
        stream.write(b"x")
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "real.csv").read_bytes() == b"x"


def test_what_cannot_be_written_is_one_error(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing" / "a.csv", tmp_path, Path("/dev/null")):
        with pytest.raises(OutputUnwritable, match="cannot be written"), NewFile(path):
            raise AssertionError("is not opened")
    with pytest.raises(OutputUnwritable, match="No space left"), NewFile(tmp_path / "full.csv"):
        raise OSError(28, "No space left on device")
    assert list(tmp_path.iterdir()) == []
