"""The feature query of `flight_delay`: nothing of the future, and the same rows for one day as for many."""

import datetime as dt
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from lockstep.data.feature_query import Days, feature_frame, source_frame
from lockstep.errors import ColumnMissing, QueryFailed
from lockstep.specs.loading import LoadedSpec, load_spec

ROOT = Path(__file__).parents[2]
DAY = dt.date(2013, 7, 3)
OUTCOMES = ("dep_time", "dep_delay", "arr_time", "arr_delay", "air_time")
WEATHER = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib")


@pytest.fixture(scope="module")
def loaded() -> LoadedSpec:
    return load_spec(ROOT / "models" / "flight_delay")


@pytest.fixture(scope="module")
def compute(spark: SparkSession, loaded: LoadedSpec) -> Callable[..., pa.Table]:
    """Return features of one or several days as an Arrow table sorted by key."""

    def run(root: Path, first: dt.date, last: dt.date | None = None) -> pa.Table:
        days = Days(first, last or first)
        query = loaded.file(loaded.spec.input.query)
        frame = feature_frame(spark, loaded.spec.input.sources, query=query, data_root=root, days=days)
        return frame.sort(*loaded.spec.key).toArrow()

    return run


@pytest.fixture(scope="module")
def features(compute: Callable[..., pa.Table], data_root: Path) -> pa.Table:
    return compute(data_root, DAY)


def copy_tables(data_root: Path, target: Path) -> Path:
    """Copy the tables with the days that a run of DAY could ever see."""
    shutil.copytree(data_root / "planes", target / "planes")
    for table, column in (("flights", "flight_date"), ("weather", "weather_date")):
        for offset in range(-30, 4):
            folder = f"{column}={DAY + dt.timedelta(days=offset)}"
            shutil.copytree(data_root / table / folder, target / table / folder)
    return target


def scramble(file: Path, columns: tuple[str, ...], *, rows: pa.Array | None = None) -> None:
    """Replace values of columns by random numbers and nulls, where `rows` (default: everywhere)."""
    random = np.random.default_rng(7)
    table = pq.read_table(file, partitioning=None)
    mask = pa.array(np.ones(table.num_rows, dtype=bool)) if rows is None else rows
    for name in columns:
        noise = pa.array(random.uniform(-100, 900, table.num_rows).round(), mask=random.random(table.num_rows) < 0.3)
        table = table.set_column(table.schema.get_field_index(name), name, pc.if_else(mask, noise, table[name]))
    pq.write_table(table, file)


def day_file(root: Path, table: str, day: dt.date) -> Path:
    column = {"flights": "flight_date", "weather": "weather_date"}[table]
    return next((root / table / f"{column}={day}").glob("*.parquet"))


def test_outcomes_of_the_day_before_the_day_and_later_change_nothing(
    compute: Callable[..., pa.Table], features: pa.Table, data_root: Path, tmp_path: Path
) -> None:
    root = copy_tables(data_root, tmp_path)
    for offset in (-1, 0, 1, 2, 3):
        scramble(day_file(root, "flights", DAY + dt.timedelta(days=offset)), OUTCOMES)
    assert compute(root, DAY).equals(features)


@pytest.mark.parametrize("offset", [-2, -29])
def test_outcomes_inside_the_window_do_count(
    compute: Callable[..., pa.Table], features: pa.Table, data_root: Path, tmp_path: Path, offset: int
) -> None:
    root = copy_tables(data_root, tmp_path)
    scramble(day_file(root, "flights", DAY + dt.timedelta(days=offset)), OUTCOMES)
    changed = compute(root, DAY)
    assert not changed["carrier_late_rate"].equals(features["carrier_late_rate"])
    assert changed["latest_dep_delay_min"].equals(features["latest_dep_delay_min"]) == (offset != -2)


def test_outcomes_before_the_window_change_nothing(
    compute: Callable[..., pa.Table], features: pa.Table, data_root: Path, tmp_path: Path
) -> None:
    root = copy_tables(data_root, tmp_path)
    scramble(day_file(root, "flights", DAY - dt.timedelta(days=30)), OUTCOMES)
    assert compute(root, DAY).equals(features)


@pytest.mark.parametrize("hour", [6, 14, 22])
def test_weather_of_the_scheduled_hour_and_later_changes_nothing(
    compute: Callable[..., pa.Table], features: pa.Table, data_root: Path, tmp_path: Path, hour: int
) -> None:
    root = copy_tables(data_root, tmp_path)
    local = dt.timezone(dt.timedelta(hours=-4))  # New York in July
    moment = pa.scalar(
        dt.datetime.combine(DAY, dt.time(hour), tzinfo=local).astimezone(dt.UTC), pa.timestamp("us", "UTC")
    )
    for offset in (0, 1):
        file = day_file(root, "weather", DAY + dt.timedelta(days=offset))
        later = pc.greater_equal(pq.read_table(file, partitioning=None)["time_hour"], moment)
        scramble(file, WEATHER, rows=later.combine_chunks())
    changed = compute(root, DAY)
    until = pc.field("dep_hour") <= hour
    after = pc.field("dep_hour") == hour + 1
    assert changed.filter(until).num_rows > 0
    assert changed.filter(until).equals(features.filter(until))
    assert not changed.filter(after)["temp_f"].equals(features.filter(after)["temp_f"])  # the change was a real one


def test_the_query_cannot_reach_an_outcome_of_the_scored_day(
    spark: SparkSession, loaded: LoadedSpec, data_root: Path, tmp_path: Path
) -> None:
    query = tmp_path / "leak.sql"
    query.write_text("SELECT f.flight, f.arr_delay FROM flights AS f")
    with pytest.raises(QueryFailed, match="arr_delay"):
        feature_frame(spark, loaded.spec.input.sources, query=query, data_root=data_root, days=Days(DAY, DAY))


def test_many_days_give_the_rows_of_each_single_day(compute: Callable[..., pa.Table], data_root: Path) -> None:
    last = DAY + dt.timedelta(days=2)
    whole = compute(data_root, DAY, last)
    for offset in range(3):
        day = DAY + dt.timedelta(days=offset)
        assert whole.filter(pc.field("flight_date") == pa.scalar(day)).equals(compute(data_root, day))


def test_rows_do_not_depend_on_how_spark_splits_the_work(
    spark: SparkSession, compute: Callable[..., pa.Table], features: pa.Table, data_root: Path
) -> None:
    before = spark.conf.get("spark.sql.shuffle.partitions")
    spark.conf.set("spark.sql.shuffle.partitions", "7")
    try:
        assert compute(data_root, DAY).equals(features)
    finally:
        spark.conf.set("spark.sql.shuffle.partitions", str(before))


def test_every_scheduled_flight_once_cancelled_ones_too(
    features: pa.Table, data_root: Path, loaded: LoadedSpec
) -> None:
    flights = pq.read_table(day_file(data_root, "flights", DAY), partitioning=None)
    assert features.num_rows == flights.num_rows
    assert pc.sum(pc.is_null(flights["arr_delay"])).as_py() > 0
    assert features.group_by(list(loaded.spec.key)).aggregate([]).num_rows == features.num_rows


def test_features_are_strings_and_doubles(features: pa.Table, loaded: LoadedSpec) -> None:
    spec = loaded.spec
    assert features.schema.names[:7] == list(spec.carried)
    others = [field for field in features.schema if field.name not in spec.carried]
    assert len(others) == 32
    assert {field.type for field in others} == {pa.float64()}


def test_rates_by_hand(features: pa.Table, data_root: Path) -> None:
    window = [DAY - dt.timedelta(days=offset) for offset in range(2, 30)]
    past = pa.concat_tables([pq.read_table(day_file(data_root, "flights", day), partitioning=None) for day in window])
    arrived = past.filter(pc.is_valid(pc.field("arr_delay")))
    of_ua = arrived.filter(pc.field("carrier") == "UA")

    def late(rows: pa.Table) -> int:
        return int(pc.sum(pc.greater_equal(rows["arr_delay"], 15)).as_py())

    overall = late(arrived) / arrived.num_rows
    expected = (late(of_ua) + 50 * overall) / (of_ua.num_rows + 50)
    got = features.filter(pc.field("carrier") == "UA")["carrier_late_rate"].unique().to_pylist()
    assert got == [pytest.approx(expected, rel=1e-12)]


def test_without_any_history_rates_are_missing(compute: Callable[..., pa.Table], data_root: Path) -> None:
    first = compute(data_root, dt.date(2013, 6, 1))
    assert first.num_rows > 0
    assert first["carrier_late_rate"].null_count == first.num_rows


def test_a_listed_column_that_the_table_lacks(spark: SparkSession, loaded: LoadedSpec, data_root: Path) -> None:
    planes = loaded.spec.input.sources["planes"].model_copy(update={"columns": {"wingspan": "double"}})
    with pytest.raises(ColumnMissing, match="wingspan"):
        source_frame(spark, planes, data_root=data_root, days=Days(DAY, DAY))


def test_partition_parameter_is_for_one_day(
    spark: SparkSession, loaded: LoadedSpec, data_root: Path, tmp_path: Path
) -> None:
    query = tmp_path / "day.sql"
    query.write_text("SELECT :partition AS day")
    sources = {"planes": loaded.spec.input.sources["planes"]}
    frame = feature_frame(spark, sources, query=query, data_root=data_root, days=Days(DAY, DAY))
    assert frame.collect()[0]["day"] == DAY
    with pytest.raises(QueryFailed, match=":partition"):
        feature_frame(spark, sources, query=query, data_root=data_root, days=Days(DAY, DAY + dt.timedelta(days=1)))
