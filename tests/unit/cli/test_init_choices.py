"""Day, key and further columns of a new spec: what is given or answered is looked at before anything is written."""

import datetime as dt

import pyarrow as pa
import pytest
import typer
from typer.testing import CliRunner

from lockstep.cli.init_choices import WHOLE_DAY, choose_day, choose_key, further_columns
from lockstep.errors import ColumnMissing
from lockstep.scaffold.errors import ChoiceNeeded
from lockstep.scaffold.sampling import Sample
from lockstep.scaffold.tables import DayColumn, FoundTable
from lockstep.specs.input_spec import Table

DAY = dt.date(2024, 5, 3)
ROWS = pa.table(
    {
        "day": [DAY] * 3,
        "id": [1, 2, 3],
        "country": ["de", "de", "fr"],
        "age": [30, None, 50],
        "at": pa.array([0, 1, 2], pa.timestamp("us")),
        "score": [0.1, 0.2, 0.3],
    }
)
SAMPLE = Sample(ROWS, DAY, 3)


def table(*days: str) -> FoundTable:
    columns = {field.name: field.type for field in ROWS.schema}
    return FoundTable(Table(path="x"), columns, tuple(DayColumn(name, DAY, DAY) for name in days), ("at",))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("dya", "there is no column 'dya'; day could say it"),
        ("age", "column 'age' is of type int64, which holds no days"),
        ("at", "column 'at' holds times"),
    ],
)
def test_a_column_that_holds_no_days_is_refused(given: str, said: str) -> None:
    with pytest.raises(ChoiceNeeded, match=said):
        choose_day(table("day"), given=given, whole=False, asks=True)


def test_the_day_is_given_or_the_only_one_or_asked_for() -> None:
    assert choose_day(table("day"), given=None, whole=False, asks=False) == "day"
    assert choose_day(table("day"), given=None, whole=True, asks=True) == WHOLE_DAY
    assert choose_day(table(), given="country", whole=False, asks=False) == "country"
    with pytest.raises(ChoiceNeeded, match="at hold times"):
        choose_day(table(), given=None, whole=False, asks=False)
    with pytest.raises(typer.BadParameter):
        choose_day(table("day"), given="day", whole=True, asks=False)


@pytest.mark.parametrize(("typed", "answer"), [("dya\nage\nday\n", "day"), ("\n", "day"), ("-\n", WHOLE_DAY)])
def test_a_mistyped_day_is_asked_for_again(typed: str, answer: str) -> None:
    with CliRunner().isolation(input=typed):
        assert choose_day(table("day"), given=None, whole=False, asks=True) == answer


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("country", "country and the day do not tell the 3 sampled rows of 2024-05-03 apart; id would do"),
        ("age", "column 'age' is null in 1 of 3 sampled rows"),
        ("score", "the model's output has the name 'score' too"),
        ("day", "no column and the day do not tell"),
    ],
)
def test_a_key_that_names_no_row_is_refused(given: str, said: str) -> None:
    with pytest.raises(ChoiceNeeded, match=said):
        choose_key([("id",), ("score",)], SAMPLE, given=given, day="day", outputs=["score"], asks=False)


def test_the_key_is_given_or_guessed_or_asked_for() -> None:
    def chosen(*keys: tuple[str, ...], given: str | None = None, asks: bool = False) -> tuple[str, ...]:
        return choose_key(list(keys), SAMPLE, given=given, day="day", outputs=["score"], asks=asks)

    assert chosen(("id",)) == ("id",)
    assert chosen(("score",), ("id",)) == ("id",)
    assert chosen(given="day, country,id,id") == ("country", "id")
    with pytest.raises(ColumnMissing):
        chosen(given="nobody")
    with pytest.raises(ChoiceNeeded, match="no three columns"):
        chosen()
    with CliRunner().isolation(input="country\nnobody\nid\n"):
        assert chosen(asks=True) == ("id",)


def test_a_column_is_published_once() -> None:
    key = ("day", "id")
    assert further_columns("country,id,country,age", SAMPLE, key=key, outputs=["score"]) == ("country", "age")
    assert further_columns(None, SAMPLE, key=key, outputs=["score"]) == ()
    with pytest.raises(typer.BadParameter, match="output has the name 'score'"):
        further_columns("score", SAMPLE, key=key, outputs=["score"])
