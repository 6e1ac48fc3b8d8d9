"""When a training set has to be built anew, and which columns are features."""

import datetime as dt
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from pyspark.sql.types import DateType, DoubleType, IntegerType, StringType, StructType

from lockstep.data.feature_query import Days
from lockstep.data.training_set import META_FILE, TrainingSpec, fingerprint, model_columns, read_meta
from lockstep.errors import InputError, SpecError
from lockstep.specs.loading import load_spec

MODEL = Path(__file__).parents[3] / "models" / "flight_delay"
JUNE = Days(dt.date(2013, 6, 1), dt.date(2013, 6, 30))
JULY = Days(dt.date(2013, 7, 1), dt.date(2013, 7, 31))


@pytest.fixture
def data_root(tmp_path: Path) -> Path:
    for table in ("flights", "weather", "planes"):
        (tmp_path / "data" / table).mkdir(parents=True)
        (tmp_path / "data" / table / "part.parquet").write_text("bytes")
    return tmp_path / "data"


@pytest.fixture
def what(tmp_path: Path) -> TrainingSpec:
    folder = shutil.copytree(MODEL, tmp_path / "flight_delay")
    return TrainingSpec(load_spec(folder), folder / "label.sql", {"train": JUNE, "valid": JULY})


def test_window_of_a_source() -> None:
    shifted = JULY.shifted((-29, -2))
    assert shifted == Days(dt.date(2013, 6, 2), dt.date(2013, 7, 29))


def test_whole_spans_all_splits(what: TrainingSpec) -> None:
    assert what.whole == Days(JUNE.first, JULY.last)


def test_fingerprint_is_stable(what: TrainingSpec, data_root: Path) -> None:
    assert fingerprint(what, data_root=data_root) == fingerprint(what, data_root=data_root)


def _append(path: Path) -> None:
    path.write_text(path.read_text() + "\n-- more")


@pytest.mark.parametrize(
    "change",
    [
        lambda what, root: _append(what.query),
        lambda what, root: _append(what.label_query),
        lambda what, root: _append(root / "flights" / "part.parquet"),
        lambda what, root: os.utime(root / "planes" / "part.parquet", (1, 1)),
        lambda what, root: (root / "weather" / "more.parquet").touch(),
    ],
    ids=["query", "label", "size", "time", "new file"],
)
def test_fingerprint_follows_its_inputs(
    what: TrainingSpec, data_root: Path, change: Callable[[TrainingSpec, Path], None]
) -> None:
    before = fingerprint(what, data_root=data_root)
    change(what, data_root)
    assert fingerprint(what, data_root=data_root) != before


def test_fingerprint_follows_the_days(what: TrainingSpec, data_root: Path) -> None:
    other = TrainingSpec(what.loaded, what.label_query, {"train": JUNE, "valid": Days(JULY.first, JULY.first)})
    assert fingerprint(what, data_root=data_root) != fingerprint(other, data_root=data_root)


def test_missing_source_table_is_one_clear_error(what: TrainingSpec, data_root: Path) -> None:
    shutil.rmtree(data_root / "planes")
    with pytest.raises(InputError, match=r"planes has no Parquet files"):
        fingerprint(what, data_root=data_root)


@pytest.mark.parametrize("text", [None, "", "half {"])
def test_no_whole_training_set(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / META_FILE).write_text(text)
    assert read_meta(tmp_path) is None


def test_strings_are_categorical_doubles_numeric_keys_neither(what: TrainingSpec) -> None:
    schema = StructType().add("flight_date", DateType()).add("carrier", StringType()).add("flight", IntegerType())
    schema = schema.add("tailnum", StringType()).add("temp_f", DoubleType())
    assert model_columns(schema, what.loaded.spec) == (["carrier"], ["temp_f"])


def test_other_types_are_refused(what: TrainingSpec) -> None:
    with pytest.raises(SpecError, match="gates"):
        model_columns(StructType().add("gates", IntegerType()), what.loaded.spec)
