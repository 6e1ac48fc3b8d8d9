"""The training set: labels, vocabulary, and the same rows in the same order each time."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from lockstep.data.feature_query import Days
from lockstep.data.training_set import META_FILE, EmptyTrainingSet, TrainingSpec, build_training_set, read_meta
from lockstep.errors import SpecError
from lockstep.specs.loading import LoadedSpec, load_spec

ROOT = Path(__file__).parents[2]
TRAIN = Days(dt.date(2013, 7, 1), dt.date(2013, 7, 2))
VALID = Days(dt.date(2013, 7, 3), dt.date(2013, 7, 3))


def training_spec(loaded: LoadedSpec, **splits: Days) -> TrainingSpec:
    return TrainingSpec(loaded, loaded.file("label.sql"), splits or {"train": TRAIN, "valid": VALID})


@pytest.fixture(scope="module")
def loaded() -> LoadedSpec:
    return load_spec(ROOT / "models" / "flight_delay")


@pytest.fixture(scope="module")
def built(
    spark: SparkSession, loaded: LoadedSpec, data_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("training") / "set"
    return out, build_training_set(spark, training_spec(loaded), data_root=data_root, out=out, made_from="x")


def flights(data_root: Path, days: Days) -> pa.Table:
    table = pq.read_table(data_root / "flights")
    day = pc.cast(pc.cast(table["flight_date"], pa.string()), pa.date32())
    keep = pc.and_(pc.greater_equal(day, pa.scalar(days.first)), pc.less_equal(day, pa.scalar(days.last)))
    return table.filter(keep)


def contents(folder: Path) -> list[pa.Table]:
    """The files in order. Their bytes may differ: footers list encodings in an order that each JVM chooses."""
    return [pq.read_table(file) for file in sorted(folder.rglob("*.parquet"))]


@pytest.mark.parametrize("split", ["train", "valid"])
def test_rows_are_the_flights_that_arrived(built: tuple[Path, dict[str, Any]], data_root: Path, split: str) -> None:
    out, meta = built
    delays = flights(data_root, {"train": TRAIN, "valid": VALID}[split])["arr_delay"].drop_null()
    assert delays.null_count == 0
    rows = pq.read_table(out / split)
    late = int(pc.sum(pc.greater_equal(delays, 15)).as_py())
    assert (rows.num_rows, pc.sum(rows["label"]).as_py()) == (len(delays), late)
    assert meta["splits"][split]["rows"] == len(delays)
    assert meta["splits"][split]["positive"] == late


def test_vocabulary_is_that_of_the_training_days(built: tuple[Path, dict[str, Any]], data_root: Path) -> None:
    out, meta = built
    arrived = flights(data_root, TRAIN)
    arrived = arrived.filter(pc.is_valid(arrived["arr_delay"]))
    for column in meta["categorical"]:
        assert column["values"] == sorted(set(arrived[column["name"]].to_pylist()))
    assert pc.min(pq.read_table(out / "train")["dest"]).as_py() == 1  # 0 is for what training never saw


def test_only_types_that_petastorm_feeds(built: tuple[Path, dict[str, Any]]) -> None:
    out, meta = built
    schema = pq.read_schema(next((out / "train").glob("*.parquet")))
    names = [column["name"] for column in meta["categorical"]]
    assert schema.names == [*names, *meta["numeric"], "label"]
    assert {schema.field(name).type for name in [*names, "label"]} == {pa.int32()}
    assert {schema.field(name).type for name in meta["numeric"]} == {pa.float64()}


def test_a_second_build_gives_the_same_rows_in_the_same_order_and_leaves_no_scratch(
    spark: SparkSession, loaded: LoadedSpec, data_root: Path, built: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    out = tmp_path / "set"
    out.mkdir()
    (out / "stale.parquet").write_text("of an earlier build")
    meta = build_training_set(spark, training_spec(loaded), data_root=data_root, out=out, made_from="y")
    assert contents(out) == contents(built[0])
    assert [p.name for p in tmp_path.iterdir()] == ["set"]
    assert read_meta(out) == json.loads((out / META_FILE).read_text()) == meta
    assert meta["fingerprint"] == "y"


def test_days_without_data_are_an_error_and_write_nothing(
    spark: SparkSession, loaded: LoadedSpec, data_root: Path, tmp_path: Path
) -> None:
    nothing = Days(dt.date(2013, 10, 5), dt.date(2013, 10, 6))
    what = training_spec(loaded, train=nothing, valid=nothing)
    with pytest.raises(EmptyTrainingSet, match="train split"):
        build_training_set(spark, what, data_root=data_root, out=tmp_path / "set", made_from="x")
    assert list(tmp_path.iterdir()) == []


def test_a_feature_of_another_type_is_refused(
    spark: SparkSession, loaded: LoadedSpec, data_root: Path, tmp_path: Path
) -> None:
    (tmp_path / "features.sql").write_text("SELECT *, CAST(hour AS INT) AS late_hour FROM flights")
    (tmp_path / "label.sql").write_text((ROOT / "models/flight_delay/label.sql").read_text())
    what = training_spec(LoadedSpec(loaded.spec, tmp_path))
    with pytest.raises(SpecError, match="late_hour"):
        build_training_set(spark, what, data_root=data_root, out=tmp_path / "set", made_from="x")
