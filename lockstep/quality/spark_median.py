"""The exact median of a column on Spark, in memory that does not grow with the rows.

Spark's own keeps every different value on one executor. Here a sketch says between which two values it must lie
(Greenwald and Khanna, Space-Efficient Online Computation of Quantile Summaries, 2001: ranks within `1 / ACCURACY` of
the rows), and what lies between these two is counted exactly: about `4 / ACCURACY` of the rows.
"""

import datetime as dt
import math
from typing import Any

from pyspark.sql import SparkSession

from lockstep.quality.columns import Column, Kind
from lockstep.quality.conditions import literal
from lockstep.quality.metrics import EPOCH

ACCURACY = 10_000
# Shares of the rows on each side of the middle; the last takes all rows, should a sketch ever miss.
WIDTHS = (2 / ACCURACY, 0.5)


def median(spark: SparkSession, view: str, column: Column) -> Any:
    """Return the median of a column of a view: a float, or a time; none without a value.

    Args:
        spark: The session of the view.
        view: Its name.
        column: A column of it.
    """
    is_time = column.kind is Kind.TIME
    value = column.micros if is_time else f"CAST({column.number} AS DOUBLE)"
    for width in WIDTHS:
        shares = f"array({0.5 - width!r}D, {0.5 + width!r}D)"
        sketch = f"SELECT count({value}), approx_percentile({value}, {shares}, {ACCURACY}) FROM {view}"  # noqa: S608
        count, bounds = spark.sql(sketch).first() or (0, None)
        if not count:
            return None
        middle = _middle(spark, f"SELECT {value} AS v FROM {view}", count=count, bounds=bounds)  # noqa: S608
        if middle is not None:
            low, high = middle
            return _halfway_time(low, high) if is_time else _halfway(low, high)
    raise AssertionError("all values lie between the smallest and the largest")


def _middle(spark: SparkSession, values: str, *, count: int, bounds: Any) -> tuple[Any, Any] | None:
    """Return the two middle values, or none if they are not between the bounds."""
    low, high = (literal(bound) for bound in bounds)
    query = (
        f"SELECT CASE WHEN v >= {low} THEN v END AS v, count(*) AS n FROM ({values}) "  # noqa: S608 - of our own
        f"WHERE v <= {high} GROUP BY 1 ORDER BY 1 NULLS FIRST"
    )
    found, reached = [], 0
    wanted = [(count - 1) // 2, count // 2]
    for value, n in zip(*spark.sql(query).toArrow().to_pydict().values(), strict=True):
        while wanted and wanted[0] < reached + n:
            if value is None:  # below the bounds
                return None
            found.append(value)
            wanted.pop(0)
        reached += n
    return (found[0], found[1]) if not wanted else None


def _halfway(low: float, high: float) -> float:
    return low if low == high else low + (high - low) / 2


def _halfway_time(low: int, high: int) -> dt.datetime:
    both = low + high  # half a microsecond goes away from 1970, as in the embedded engine
    return EPOCH + dt.timedelta(microseconds=int(math.copysign((abs(both) + 1) // 2, both)))
