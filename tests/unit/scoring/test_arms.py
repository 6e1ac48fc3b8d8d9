"""The sticky split: the same row is in the same place, whatever holds it, and the places are evenly spread."""

import datetime as dt
import math
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.errors import ColumnMissing, ColumnTypeMismatch
from lockstep.scoring.arms import Split, salt_of

FEW = settings(max_examples=30)
SPLIT = Split(salt_of("flight_delay", "d" * 64), ("tail", "flight"))
TAILS = st.one_of(st.none(), st.text(max_size=12))
NUMBERS = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1))
MOMENTS = tuple(dt.datetime.fromisoformat(text) for text in ("1900-01-01T00:00:00", "2200-01-01T00:00:00"))
FIXED = [0.9996990873839703, 0.9791447434228076, 0.49362001238846587]
ROWS = st.lists(st.tuples(TAILS, NUMBERS), max_size=40)


def table(rows: list[tuple[str | None, int | None]]) -> pa.Table:
    tails, flights = ([row[place] for row in rows] for place in (0, 1))
    return pa.table({"tail": pa.array(tails, pa.string()), "flight": pa.array(flights, pa.int64())})


def places(column: pa.Array, salt: str = "s") -> list[float]:
    return Split(salt, ("x",)).positions(pa.table({"x": column})).tolist()


def place(value: Any) -> float:
    return Split("s", ("x",)).position({"x": value})


def test_the_function_is_the_published_one() -> None:
    """These numbers must never change: entities would change arms overnight."""
    rows = table([("N14228", 1545), (None, -1), ("", None)])
    assert SPLIT.positions(rows).tolist() == FIXED


@FEW
@given(ROWS)
def test_one_row_alone_is_where_it_is_in_a_table(rows: list[tuple[str | None, int | None]]) -> None:
    together = SPLIT.positions(table(rows)).tolist()
    assert together == [SPLIT.position({"tail": tail, "flight": flight}) for tail, flight in rows]
    assert all(0 <= where < 1 for where in together)


@FEW
@given(ROWS, st.randoms(use_true_random=False), st.integers(1, 7))
def test_order_and_chunks_do_not_matter(rows: list[tuple[str | None, int | None]], random: Any, size: int) -> None:
    order = list(range(len(rows)))
    random.shuffle(order)
    whole, cut = SPLIT.positions(table(rows)), table([rows[place] for place in order])
    batches = cut.to_batches(max_chunksize=size)
    assert SPLIT.positions(pa.Table.from_batches(batches, cut.schema)).tolist() == whole[order].tolist()
    assert [where for batch in batches for where in SPLIT.positions(batch)] == whole[order].tolist()


@FEW
@given(st.lists(st.one_of(st.none(), st.integers(0, 127)), min_size=1))
def test_a_number_is_itself_in_every_type(numbers: list[int | None]) -> None:
    expected = [place(number) for number in numbers]
    kinds = [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint64(), pa.float32(), pa.float64()]
    for kind in [*kinds, pa.decimal128(21, 2)]:
        assert places(pa.array(numbers, pa.int64()).cast(kind)) == expected, kind
        assert places(pa.array(numbers, pa.int64()).cast(kind).dictionary_encode()) == expected, kind
    assert [place(None if number is None else float(number)) for number in numbers] == expected
    assert [place(None if number is None else np.int16(number)) for number in numbers] == expected


@FEW
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
def test_fractions_are_themselves_in_both_widths(finite: list[float]) -> None:
    narrow = pa.array(finite, pa.float32())
    shortest = [number if number == math.floor(number) else float(str(np.float32(number))) for number in finite]
    assert places(narrow) == [place(number) for number in shortest] == places(pa.array(shortest, pa.float64()))
    assert places(narrow) == [place(np.float32(number)) for number in finite]


@FEW
@given(st.lists(st.floats(), min_size=1))
def test_any_double_is_where_a_lone_one_is(numbers: list[float]) -> None:
    assert places(pa.array(numbers, pa.float64())) == [place(number) for number in numbers]


@FEW
@given(st.lists(st.one_of(st.none(), st.text(max_size=8)), min_size=1))
def test_a_text_is_itself_in_every_type(texts: list[str | None]) -> None:
    expected = [place(text) for text in texts]
    for kind in (pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())):
        assert places(pa.array(texts, pa.string()).cast(kind)) == expected, kind


@FEW
@given(st.lists(st.dates(), min_size=1))
def test_a_day_is_its_iso_text(days: list[dt.date]) -> None:
    expected = [place(day.isoformat()) for day in days]
    assert expected == [place(day) for day in days] == places(pa.array(days, pa.date32()))
    assert places(pa.array(days, pa.date64())) == expected


@FEW
@given(st.lists(st.datetimes(*MOMENTS), min_size=1))
def test_a_moment_is_the_same_in_every_zone_and_unit(moments: list[dt.datetime]) -> None:
    expected = [place(moment) for moment in moments]
    zoned = [moment.replace(tzinfo=dt.UTC) for moment in moments]
    assert [place(moment.astimezone(dt.timezone(dt.timedelta(hours=-4)))) for moment in zoned] == expected
    for kind in (pa.timestamp("us"), pa.timestamp("ns"), pa.timestamp("us", "America/New_York")):
        assert places(pa.array(zoned if kind.tz else moments, kind)) == expected, kind


def test_kinds_are_told_apart_and_null_and_nan_are_one() -> None:
    values = [None, True, 1, "1", b"1", 0.5, "0.5", 2**63, MOMENTS[0]]
    assert len({place(value) for value in values}) == len(values)
    assert place(float("nan")) == place(None) == places(pa.nulls(1))[0] == places(pa.array([None, "a"]))[0]
    assert place(Decimal("0.50")) == place(0.5)
    assert places(pa.array([True, None])) == [place(True), place(None)]
    assert places(pa.array([b"1"])) == [place(b"1")]
    assert places(pa.array([2**63], pa.uint64())) == [place(2**63)]
    assert places(pa.array([None, None], pa.string())) == [place(None)] * 2
    assert places(pa.array([], pa.string())) == []


@FEW
@given(st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_who_is_in_stays_in_while_the_fraction_grows(fractions: tuple[float, float]) -> None:
    positions, (low, high) = SPLIT.positions(many(2000)), sorted(fractions)
    assert not ((positions < low) & ~(positions < high)).any()


def many(rows: int) -> pa.Table:
    numbers = np.arange(rows)
    return pa.table({"tail": pa.array([f"N{number % 997}" for number in numbers]), "flight": pa.array(numbers)})


def chi_square(counts: np.ndarray) -> float:
    expected = counts.sum() / counts.size
    return float(((counts - expected) ** 2 / expected).sum())


@pytest.mark.parametrize("column", ["numbers", "texts", "two columns"])
def test_places_are_evenly_spread(column: str) -> None:
    """Chi-square over 100 bins: mean 99, standard deviation 14; the bound is five of these away."""
    numbers = pa.array(np.arange(200_000))
    found = {
        "numbers": lambda: Split("s", ("x",)).positions(pa.table({"x": numbers})),
        "texts": lambda: Split("s", ("x",)).positions(pa.table({"x": numbers.cast(pa.string())})),
        "two columns": lambda: SPLIT.positions(many(200_000)),
    }[column]()
    assert chi_square(np.histogram(found, bins=100, range=(0, 1))[0]) < 99 + 5 * math.sqrt(2 * 99)


def test_another_trial_draws_anew() -> None:
    rows = many(50_000)
    first, other = (Split(salt_of("s", digest), SPLIT.by).positions(rows) for digest in ("a", "b"))
    counts = np.histogram2d(first, other, bins=5, range=[[0, 1], [0, 1]])[0]
    assert chi_square(counts) < 24 + 5 * math.sqrt(2 * 24)
    assert salt_of("s", "a") != salt_of("s2", "a")


@pytest.mark.parametrize("column", [pa.array([[1]]), pa.array([{"a": 1}]), pa.array([1], pa.duration("s"))])
def test_what_has_no_plain_value_is_refused(column: pa.Array) -> None:
    with pytest.raises(ColumnTypeMismatch, match="column 'x'"):
        places(column)
    with pytest.raises(ColumnTypeMismatch, match="column 'x'"):
        place(column[0].as_py())


def test_a_column_that_is_not_there_is_named() -> None:
    with pytest.raises(ColumnMissing, match="'tail' is missing"):
        SPLIT.positions(pa.table({"flight": [1]}))
    with pytest.raises(ColumnMissing, match="'flight' is missing"):
        SPLIT.position({"tail": "N1"})
