"""Look at every different value of a column once, in Python, where SQL does not say what pandas says."""

import math
import re
from typing import TYPE_CHECKING

import duckdb

from lockstep.quality.asks import Tally
from lockstep.quality.columns import Kind

if TYPE_CHECKING:
    import pandas as pd

VALUES_AT_ONCE = 100_000


def misfits(engine: duckdb.DuckDBPyConnection, source: str, tally: Tally) -> int:
    """Return how many rows have a value that does not fit.

    Args:
        engine: Where the rows are.
        source: SQL of the table of the rows.
        tally: What fits.
    """
    column = tally.column.sql
    # 0.0 and -0.0 are equal and not the same text.
    signed = tally.column.kind is Kind.NUMBER and not tally.column.whole
    grouped = f"{column}, signbit({column})" if signed else column
    query = f"SELECT any_value({column}) AS value, count(*) AS times FROM {source} GROUP BY {grouped}"  # noqa: S608
    counted = engine.execute(query).df()
    missing = counted["value"].isna()
    values, times = counted["value"][~missing], counted["times"][~missing]
    if tally.column.whole:  # a data frame holds whole numbers as floats when some are missing
        values = values.astype("float64" if missing.any() else "int64")
    elif tally.column.kind is Kind.FLAG:
        values = values.astype(bool)
    wrong = 0
    for start in range(0, len(values), VALUES_AT_ONCE):
        some = slice(start, start + VALUES_AT_ONCE)
        fits = _fits(values.iloc[some].astype(str), tally)
        wrong += int(times.iloc[some][~fits.astype(bool)].sum())
    return wrong


def _fits(texts: "pd.Series[str]", tally: Tally) -> "pd.Series[bool]":
    if tally.regex is not None:
        search = re.compile(tally.regex).search
        return texts.map(lambda text: search(text) is not None)
    lengths = texts.str.len()
    low, high = -1 if tally.low is None else tally.low, math.inf if tally.high is None else tally.high
    above = lengths.gt(low) if tally.strict_low else lengths.ge(low)
    return above & (lengths.lt(high) if tally.strict_high else lengths.le(high))
