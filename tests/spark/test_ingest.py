"""Ingest of the demonstration data: layout, types, idempotency, interruption."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from lockstep.data import nycflights13
from lockstep.data.nycflights13 import MARKER, CsvSource, ingest, ingested_rows

JUNE, JULY = 28_243, 29_425  # flights


def mtimes(root: Path) -> dict[str, int]:
    return {str(p.relative_to(root)): p.stat().st_mtime_ns for p in root.rglob("*") if p.is_file()}


def test_flights_have_one_file_a_day_with_all_columns(data_root: Path) -> None:
    days = sorted((data_root / "flights").glob("flight_date=*"))
    assert (days[0].name, days[-1].name, len(days)) == ("flight_date=2013-06-01", "flight_date=2013-07-31", 61)
    assert all(len(list(day.glob("*.parquet"))) == 1 for day in days)
    schema = pq.read_schema(next(days[0].glob("*.parquet")))
    assert len(schema) == 19
    assert schema.field("time_hour").type == pa.timestamp("us", tz="UTC")
    assert (schema.field("flight").type, schema.field("arr_delay").type) == (pa.int32(), pa.float64())


def test_no_row_is_lost_and_null_is_null(data_root: Path) -> None:
    flights = pq.read_table(data_root / "flights")
    assert flights.num_rows == JUNE + JULY
    assert pc.sum(pc.is_null(flights["tailnum"])).as_py() > 0
    assert not pc.any(pc.is_in(flights["tailnum"], value_set=pa.array(["", "NA"]))).as_py()
    assert pc.sum(pc.is_null(flights["arr_delay"])).as_py() > 0


def test_time_hour_is_utc_and_partitions_are_local_days(data_root: Path) -> None:
    late = pq.read_table(data_root / "flights" / "flight_date=2013-07-01").filter(pc.field("hour") == 21)
    assert {t.isoformat() for t in late["time_hour"].to_pylist()} == {"2013-07-02T01:00:00+00:00"}


def test_weather_is_partitioned_by_local_day(data_root: Path) -> None:
    weather = pq.read_table(data_root / "weather" / "weather_date=2013-07-01")
    assert pc.min(weather["time_hour"]).as_py().isoformat() == "2013-07-01T04:00:00+00:00"


def test_marker_says_what_is_there(data_root: Path, csv_source: CsvSource) -> None:
    rows = ingested_rows(data_root, version=csv_source.version)
    assert rows is not None
    assert rows["flights"] == JUNE + JULY
    assert rows["planes"] == 3_322
    assert ingested_rows(data_root, version="9.9.9") is None


def test_interrupted_ingest_is_done_again(
    spark: SparkSession, csv_source: CsvSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planes = [table for table in nycflights13.TABLES if table.name == "planes"]
    monkeypatch.setattr(nycflights13, "TABLES", tuple(planes))
    ingest(spark, csv_source, out=tmp_path)
    first = mtimes(tmp_path)
    (tmp_path / MARKER).unlink()  # as after a crash between the move and the marker
    assert ingested_rows(tmp_path, version=csv_source.version) is None
    ingest(spark, csv_source, out=tmp_path)
    assert mtimes(tmp_path).keys() != first.keys()
    assert ingested_rows(tmp_path, version=csv_source.version) == {"planes": 3_322}
    assert sorted(p.name for p in tmp_path.iterdir()) == [MARKER, "planes"]  # no scratch folder stays


def test_lost_file_is_noticed(data_root: Path, tmp_path: Path, csv_source: CsvSource) -> None:
    marker = json.loads((data_root / MARKER).read_text())
    (tmp_path / MARKER).write_text(json.dumps(marker))
    assert ingested_rows(tmp_path, version=csv_source.version) is None
