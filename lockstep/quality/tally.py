"""Look at every different value of a column once, in Python, where SQL does not say what pandas says."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb

from lockstep.quality.asks import Tally
from lockstep.quality.columns import Kind

if TYPE_CHECKING:
    import pandas as pd

VALUES_AT_ONCE = 100_000
# Microseconds of the units that times may be whole ones of.
UNITS_US = {"day": 86_400_000_000, "second": 1_000_000, "millisecond": 1_000}
FORMS = {"day": "%Y-%m-%d", "second": "%Y-%m-%d %H:%M:%S"}
FINEST = "%Y-%m-%d %H:%M:%S.%f"


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
    look = Look(
        tally, missing=bool(missing.any()), precision=precision_of(values) if tally.column.kind is Kind.TIME else ""
    )
    parts = (slice(start, start + VALUES_AT_ONCE) for start in range(0, len(values), VALUES_AT_ONCE))
    return sum(look.wrong(values.iloc[some], times.iloc[some]) for some in parts)


@dataclass(frozen=True)
class Look:
    """How the values of a column are looked at: as the texts that a data frame of the whole column gives.

    Attributes:
        missing: Whether some value of the column is; whole numbers are floats then.
        precision: Of times: `day`, or the longest of `second`, `millisecond`, `microsecond` that one needs.
    """

    tally: Tally
    missing: bool
    precision: str = ""

    def wrong(self, values: "pd.Series[Any]", times: "pd.Series[int]") -> int:
        """Return how many rows have a value that does not fit.

        Args:
            values: Different values, none missing.
            times: In how many rows each is.
        """
        fits = _fits(self._texts(values), self.tally)
        return int(times[~fits.astype(bool)].sum())

    def _texts(self, values: "pd.Series[Any]") -> "pd.Series[str]":
        if self.tally.column.kind is Kind.TIME:
            texts: pd.Series[str] = values.dt.strftime(FORMS.get(self.precision, FINEST))
            return texts.str[:-3].astype(str) if self.precision == "millisecond" else texts
        if self.tally.column.whole:  # a data frame holds whole numbers as floats when some are missing
            values = values.astype("float64") if self.missing else values.map(int)
        elif self.tally.column.kind is Kind.FLAG:
            values = values.astype(bool)
        return values.astype(str)


def precision_of(values: "pd.Series[Any]") -> str:
    """Return how precisely a data frame writes times."""
    micros = values.astype("datetime64[us]").astype("int64")
    return precision([bool((micros % unit).any()) for unit in UNITS_US.values()])


def precision(between: Sequence[bool]) -> str:
    """Return how precisely times are written of which some lie between whole days, seconds, and milliseconds."""
    finest = [unit for unit, some in zip(("second", "millisecond", "microsecond"), between, strict=True) if some]
    return finest[-1] if finest else "day"


def _fits(texts: "pd.Series[str]", tally: Tally) -> "pd.Series[bool]":
    if tally.regex is not None:
        search = re.compile(tally.regex).search
        return texts.map(lambda text: search(text) is not None)
    lengths = texts.str.len()
    low, high = -1 if tally.low is None else tally.low, math.inf if tally.high is None else tally.high
    above = lengths.gt(low) if tally.strict_low else lengths.ge(low)
    return above & (lengths.lt(high) if tally.strict_high else lengths.le(high))
