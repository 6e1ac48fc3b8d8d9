"""Mistakes with the input: where it is, its days, its columns, its key."""

import datetime as dt
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from newcomers.mistake import Mistake, Place
from world import ROWS, customers

DAY = "2024-01-05"
RUN = ("run", "clients", "--date", DAY)


def _day(place: Place) -> pa.Table:
    return customers(dt.date.fromisoformat(DAY))


def _write(place: Place, table: pa.Table) -> None:
    pq.write_table(table, place.world.day_file(DAY))


def _csv(place: Place) -> None:
    (place.home / "data" / "sheets").mkdir()
    pyarrow.csv.write_csv(_day(place), place.home / "data" / "sheets" / "customers.csv")


def _empty(place: Place) -> None:
    (place.home / "data" / "nothing").mkdir()


def _cut(place: Place) -> None:
    file = place.world.day_file(DAY)
    file.write_bytes(file.read_bytes()[:-600])


def _no_rows(place: Place) -> None:
    _write(place, _day(place).slice(0, 0))


def _twice(place: Place) -> None:
    _write(place, pa.concat_tables([_day(place), _day(place).slice(0, 3)]))


def _no_key(place: Place) -> None:
    ids = pa.array([None, *range(1, ROWS)], pa.int64())
    _write(place, _day(place).set_column(0, "id", ids))


def _wrong_key(place: Place) -> None:
    place.change("clients/scoring.yaml", "[day, id]", "[day, customer]")


def _without_column(place: Place) -> None:
    _write(place, _day(place).drop_columns(["spend"]))


def _as_text(place: Place) -> None:
    table = _day(place)
    text = pa.array([str(value) for value in table.column("spend").to_pylist()])
    _write(place, table.set_column(table.schema.get_field_index("spend"), "spend", text))


def _moved(place: Place) -> None:
    shutil.move(place.home / "data" / "customers", place.home / "data" / "clients")


def _day_column(place: Place) -> None:
    place.change("clients/scoring.yaml", "{column: day}", "{column: date}")
    place.change("clients/scoring.yaml", "[day, id]", "[date, id]")
    place.change("clients/checks/gate.yaml", "[day, id]", "[date, id]")


def _no_days(place: Place) -> None:
    (Path(place.home) / "data" / "flat").mkdir()
    pq.write_table(_day(place), place.home / "data" / "flat" / "part-0.parquet")


MISTAKES = (
    Mistake(
        "A path with a slip of the pen",
        ("init", "churn", "{home}/data/custmers", "--name", "mine"),
        6,
        "LS6005",
        ("custmers", "no such file or folder"),
    ),
    Mistake(
        "A folder without files",
        ("init", "churn", "{home}/data/nothing", "--name", "mine"),
        6,
        "LS6005",
        ("nothing", "Parquet"),
        make=_empty,
    ),
    Mistake(
        "CSV instead of Parquet",
        ("init", "churn", "{home}/data/sheets", "--name", "mine"),
        6,
        "LS6005",
        ("sheets", "Parquet"),
        make=_csv,
    ),
    Mistake("A file that was not written to its end", RUN, 6, "LS6007", (f"day={DAY}/part-0.parquet",), make=_cut),
    Mistake("A table that was moved", RUN, 6, "LS6005", ("customers",), make=_moved),
    Mistake(
        "A table without a column of days",
        ("init", "churn", "{home}/data/flat", "--name", "mine", "--yes"),
        6,
        "LS6029",
        ("--day", "--whole"),
        make=_no_days,
    ),
    Mistake(
        "A misspelt column to publish",
        ("init", "churn", "{home}/data/customers", "--name", "mine", "--passthrough", "citty"),
        6,
        "LS6010",
        ("citty", "Did you mean 'city'?", "--passthrough"),
    ),
    Mistake(
        "A key with nulls",
        ("init", "churn", "{home}/data/customers", "--name", "mine", "--key", "city"),
        6,
        "LS6029",
        ("column 'city' is null in", "id would do", "--key"),
    ),
    Mistake(
        "A day column that holds no days",
        ("init", "churn", "{home}/data/customers", "--name", "mine", "--day", "age"),
        6,
        "LS6029",
        ("column 'age' is of type double", "--day", "--whole"),
    ),
    Mistake(
        "A day in another notation",
        ("run", "clients", "--date", "05.01.2024"),
        6,
        "LS6002",
        ("05.01.2024", "YYYY-MM-DD"),
    ),
    Mistake("A day that is no day", ("run", "clients", "--date", "2024-02-30"), 6, "LS6002", ("2024-02-30",)),
    Mistake(
        "A day that the table does not have",
        ("run", "clients", "--date", "2024-02-01"),
        6,
        "LS6008",
        ("2024-02-01", "2024-01-05"),
    ),
    Mistake(
        "A day in the future", ("run", "clients", "--date", "2124-01-01"), 6, "LS6008", ("2124-01-01", "2024-01-05")
    ),
    Mistake(
        "A day before the spec begins",
        ("run", "clients", "--date", "2023-12-31"),
        6,
        "LS6002",
        ("2023-12-31", "schedule.start"),
    ),
    Mistake(
        "A range that ends before it begins",
        ("run", "clients", "--from", "2024-01-05", "--to", "2024-01-01"),
        6,
        "LS6002",
        ("2024-01-01", "2024-01-05"),
    ),
    Mistake("A backfill without its end", ("run", "clients", "--from", "2024-01-01"), 2, "", ("--from", "--to")),
    Mistake("A day without rows", RUN, 6, "LS6009", (DAY, "0 rows"), make=_no_rows),
    Mistake(
        "A key with a column that the table does not have",
        RUN,
        6,
        "LS6010",
        ("customer", "key", "id, city, age, spend, day"),
        make=_wrong_key,
    ),
    Mistake(
        "A column of the day that the table does not have",
        RUN,
        6,
        "LS6006",
        ("date", "partition column"),
        make=_day_column,
    ),
    Mistake("Rows that are there twice", RUN, 7, "LS7001", ("day, id", "6 of 403"), make=_twice),
    Mistake("A row without its key", RUN, 7, "LS7001", ("id", "1 of 400"), make=_no_key),
    Mistake(
        "A column that is missing on one day", RUN, 6, "LS6010", ("spend", "customers", "double"), make=_without_column
    ),
    Mistake("A number that was written as text", RUN, 6, "LS6011", ("spend", "double", "string"), make=_as_text),
)
