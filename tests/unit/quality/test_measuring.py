import datetime as dt
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lockstep.errors import FileUnreadable, SourceFileChanged
from lockstep.quality import measuring as measuring_module
from lockstep.quality.asks import ROWS, Distinct, Question, Repeated, Repeats, Uncomputable, count_where
from lockstep.quality.measuring import Measurement, measuring
from lockstep.quality.metrics import mismatches, outliers, total
from lockstep.quality.rows import Rows, staged_rows

TABLE = pa.table(
    {"a": pa.array([1, 1, None, None, 2, 2]), "b": pa.array(["x", "x", None, None, "y", "z"]), "s": [0.5] * 6}
)


def measured(path: Path, *questions: Any) -> list[Any]:
    pq.write_table(TABLE, path / "0.parquet")
    with measuring(staged_rows([path / "0.parquet"], where="x"), names=["a", "b", "s"]) as measurement:
        found = measurement.answer({index: make(measurement) for index, make in enumerate(questions)})
    return [found[index] for index in range(len(questions))]


def repeats(measurement: Measurement) -> Question:
    (found,) = yield (Repeats((measurement.columns["a"], measurement.columns["b"])),)
    return found


def distinct(measurement: Measurement) -> Question:
    found = yield Distinct(measurement.columns["a"]), Distinct(measurement.columns["b"])
    return found


@pytest.mark.parametrize(
    ("name", "value"), [("MOST_SUSPECTS", 10), ("MOST_SUSPECTS", 0), ("MOST_ROWS_IN_MEMORY", 0)], ids=str
)
def test_exact_counts_whichever_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: int) -> None:
    monkeypatch.setattr(measuring_module, name, value)
    assert measured(tmp_path, repeats, distinct) == [Repeated(keys=2, rows=4, null_rows=2), (2, 3)]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ([3, 1, 2, 7], Repeated(0, 0, 0)),
        ([1, 2, 3, 7], Repeated(0, 0, 0)),
        ([3, 1, 3, 7], Repeated(1, 2, 0)),
        ([3, None, 1, 7], Repeated(0, 0, 0)),
        ([3, None, None, 7], Repeated(1, 2, 0)),
        ([7, 7, 7, 7], Repeated(1, 4, 0)),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", [pa.int64(), pa.int16(), pa.float32(), pa.string()], ids=str)
def test_keys_beside_a_column_that_is_one_value(
    tmp_path: Path, key: list[int | None], expected: Repeated, kind: pa.DataType
) -> None:
    def question(measurement: Measurement) -> Question:
        return (yield (Repeats((measurement.columns["day"], measurement.columns["id"])),))[0]

    days = pa.array([dt.date(2024, 3, 5)] * 4, pa.date32())
    ids = pa.array(key, pa.int64()).cast(kind)
    for number in range(2):
        half = slice(2 * number, 2 * number + 2)
        pq.write_table(pa.table({"day": days[half], "id": ids[half]}), tmp_path / f"{number}.parquet")
    files = sorted(tmp_path.glob("*.parquet"))
    with measuring(staged_rows(files, where="x"), names=["day", "id"]) as measurement:
        assert measurement.answer({0: question(measurement)}) == {0: expected}


def test_a_question_may_ask_on(tmp_path: Path) -> None:
    def question(measurement: Measurement) -> Question:
        (rows,) = yield (ROWS,)
        (few,) = yield (count_where(f"{measurement.columns['a'].sql} < {rows}", measurement.columns["a"]),)
        return rows, few

    def no_figure(_: Measurement) -> Question:
        yield (ROWS,)
        raise Uncomputable

    first, second = measured(tmp_path, question, no_figure)
    assert first == (6, 4)
    assert isinstance(second, Uncomputable)


def test_a_constant_has_no_outlier(tmp_path: Path) -> None:
    kwargs = {"threshold": 1.0, "double_sided": True}
    assert measured(tmp_path, lambda m: outliers(m.columns["s"], kwargs)) == [0]


def test_text_that_is_no_text_is_an_error_of_ours_without_the_text(tmp_path: Path) -> None:
    bad = pa.Array.from_buffers(pa.string(), 1, pa.array([b"SECRET\xff"], pa.binary()).buffers())
    pq.write_table(pa.table({"a": bad}), tmp_path / "0.parquet")
    with (
        pytest.raises(FileUnreadable, match="input file of the input cannot be read: the engine") as caught,
        measuring(staged_rows([tmp_path / "0.parquet"], where="the input"), names=["a"]) as measurement,
    ):
        measurement.answer({0: mismatches(measurement.columns["a"], {"regex": "^a"}, when=False)})
    assert "SECRET" not in "".join(traceback.format_exception(caught.value))


def test_an_error_of_ours_while_batches_are_read_stays_itself(tmp_path: Path) -> None:
    def batches(_: Sequence[str]) -> Iterator[pa.RecordBatch]:
        yield pa.record_batch({"a": [1]})
        raise SourceFileChanged("a.parquet", expected="1 byte", got="2 bytes")

    rows = Rows(pa.schema({"a": pa.int64()}), "x", batches)
    with pytest.raises(SourceFileChanged), measuring(rows, names=["a"]) as measurement:
        measurement.answer({0: total(measurement.columns["a"])})
