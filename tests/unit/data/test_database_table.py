"""What is asked of a database: names, types and days in SQL."""

import datetime as dt
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.data.database_table import DatabaseTable, literal, quoted
from lockstep.data.table_scan import Day
from lockstep.errors import ColumnTypeMismatch, TableUnsupported
from lockstep.specs.input_spec import Table

DAY = Day("day", dt.date(2024, 1, 31))
COLUMNS = {
    "day": "date",
    "id": "bigint",
    "name": "character varying(8)",
    "price": "numeric(10,2)",
    "prices": "numeric(10,2)[]",
    "vector": "real[]",
    "uid": "uuid",
    "uids": "uuid[]",
    "seen": "timestamp(3) with time zone",
    "during": "daterange",
    'odd "one"': "jsonb",
}


class Cursor:
    """Keeps what it is asked, and has no answer."""

    asked = ""

    def execute(self, query: str) -> None:
        self.asked = query
        raise StopIteration


def table(columns: dict[str, str] | None = None, *, whole: bool = False) -> DatabaseTable:
    declared = Table(format="postgresql", path="postgresql://me@db/shop", name="a.b", whole=whole)
    return DatabaseTable(declared, '"a"."b"', columns or COLUMNS, Cursor())


def asked(source: DatabaseTable, *names: str, day: Day = DAY, **options: object) -> str:
    with pytest.raises(StopIteration):
        source.read(names or list(source.columns), day, **options)  # type: ignore[arg-type]
    return str(source.cursor.asked)


def test_each_column_is_asked_for_in_a_type_that_arrow_has() -> None:
    assert asked(table()) == (
        'SELECT DATE \'2024-01-31\' AS "day", "id" AS "id", "name" AS "name", '
        'CAST("price" AS double precision) AS "price", CAST("prices" AS double precision[]) AS "prices", '
        '"vector" AS "vector", CAST("uid" AS text) AS "uid", CAST("uids" AS text[]) AS "uids", "seen" AS "seen", '
        'CAST("during" AS text) AS "during", CAST("odd ""one""" AS text) AS "odd ""one""" '
        'FROM "a"."b" AS lockstep_row WHERE "day" = \'2024-01-31\''
    )


def test_rows_are_in_the_order_of_the_key_by_bytes() -> None:
    assert asked(table(), "id", key=("day", "name", "id")).endswith(
        """WHERE "day" = '2024-01-31' ORDER BY "day", "name" COLLATE "C", "id\""""
    )


def test_a_table_without_days_is_read_whole_if_the_spec_says_so() -> None:
    columns = {"id": "bigint"}
    assert asked(table(columns, whole=True), "id", "day") == (
        'SELECT "id" AS "id", DATE \'2024-01-31\' AS "day" FROM "a"."b" AS lockstep_row'
    )
    with pytest.raises(TableUnsupported, match="has no column 'day'"):
        table(columns).read(["id"], DAY)
    with pytest.raises(TableUnsupported, match="whole: true"):
        table(whole=True).read(["id"], DAY)


@pytest.mark.parametrize("kind", ["timestamp with time zone", "daterange", "date[]", "bigint"])
def test_a_day_is_a_date_or_a_text(kind: str) -> None:
    with pytest.raises(ColumnTypeMismatch, match=r"expected date \(or text as YYYY-MM-DD\)"):
        table({"day": kind}).read(["day"], DAY)


def test_days_are_looked_for_in_dates_and_texts() -> None:
    assert table().day_columns() == ["day", "name"]


@given(st.text(alphabet=string.printable))
def test_no_name_and_no_text_ends_early(text: str) -> None:
    assert quoted(text)[1:-1].replace('""', "") == text.replace('"', "")
    assert literal(text)[1:-1].replace("''", "") == text.replace("'", "")
