"""Rows with all that is hard to read alike, and checks of every expectation over them."""

import datetime as dt
import decimal
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from lockstep.quality.catalogue import EXPECTATIONS

DAY = dt.date(2024, 3, 1)
ODD = 'it\'s "a`b".c ${x} {1}'
INF, NAN = math.inf, math.nan


def column(values: Sequence[Any], kind: pa.DataType, rows: int = 24) -> pa.Array:
    """Repeat values up to the number of rows."""
    return pa.array([values[i % len(values)] for i in range(rows)], kind)


def times(*texts: str) -> list[dt.datetime | None]:
    return [None, *(dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC) for text in texts)]


# What Spark reads from Parquet itself.
PLAIN: dict[str, pa.Array] = {
    "id": pa.array([*range(22), 3, 3]),
    "x": column([None, 0.0, -0.0, 1.5, NAN, 2.0, -3.25], pa.float64()),
    "wide": column([INF, 1e300, 0.1, None, -1e300], pa.float64()),
    "huge": column([INF, -INF, 1.0, NAN], pa.float64()),
    "f": column([0.1, None, 2.5, NAN, 0.2, 16777216.0], pa.float32()),
    "n": column([None, 1, 2, 3, -7], pa.int64()),
    "big": column([2**62, 2**62, -(2**61), 2**53 + 1, 16777217], pa.int64()),
    "whole": column([2_000_000_000, 3, -7], pa.int32()),
    "tiny": column([200, 255, None, 1], pa.uint8()),
    "unsigned": column([2**64 - 1, 5, 2**63], pa.uint64()),
    "money": column([decimal.Decimal("1.10"), None, decimal.Decimal("-2.25")], pa.decimal128(12, 2)),
    "digits": column([decimal.Decimal(7), decimal.Decimal(3)], pa.decimal128(10, 0)),
    "flag": column([None, True, False], pa.bool_()),
    "yes": column([True, False], pa.bool_()),
    "text": column(
        [None, "", "a", "ab", "b1", "a\n", "é", "\U0001f926", "1.0", "it's", "a\\d", "${x}", "e\u0301"], pa.string()
    ),
    "word": column(["ab", None, "b1", "zz"], pa.string()).dictionary_encode(),
    "day": column([DAY, None, dt.date(1969, 12, 31)], pa.date32()),
    "at": column(times("2024-03-01T23:59:59.000001", "1900-01-01"), pa.timestamp("us", "Europe/Berlin")),
    "naive": column(times("2024-03-31T02:30", "2024-03-01")[1:], pa.timestamp("ms")),
    "nothing": column([None], pa.float64()),
    "no_text": column([None], pa.string()),
    "A": column([1, 2], pa.int64()),
    "a": column([2, 1, 1], pa.int16()),
    ODD: column([1.0, 2.0, None], pa.float64()),
}
# What it gets from Python workers.
FURTHER: dict[str, pa.Array] = {
    "v": pa.FixedSizeListArray.from_arrays(pa.array(np.arange(48) % 7, pa.float32()), 2),
    "fine": column(times("2024-03-01T00:00:00.123456"), pa.timestamp("ns", "UTC")),
    "half": column([np.float16(0.1), None, np.float16(2)], pa.float16()),
    "void": pa.nulls(24),
    "numbers": column([1, 2, None, 2], pa.int64()).dictionary_encode(),
    "bytes": column([b"a", None, b"\xff"], pa.binary()),
    "list": column([[1], [2, 3], None], pa.list_(pa.int64())),
}
TIMES = ["day", "at", "naive", "fine"]
# Columns of which all is measured that takes a job of its own.
HEAVY = {"x", "unsigned", "at"}
BOUNDS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "number": [{"min_value": 0}, {"min_value": 0.1, "max_value": 2, "strict_min": True, "strict_max": True}],
    "time": [
        {"min_value": DAY},
        {"max_value": dt.datetime(2024, 3, 1, 23, 59, 59, 1, tzinfo=dt.UTC), "strict_max": True},
    ],
}
SETS = [[1, 0.1, 2**53 + 1], ["a", "b1", "it's", "a\\d", "${x}"], [True], [DAY], [1, "a", True]]
REGEXES = ["^a", "a$", r"1\.0", "[^a]", "it's", r"^[a-z]\d?$"]


def check(name: str, kwargs: Mapping[str, Any] | None = None, *target: str) -> dict[str, Any]:
    rule = EXPECTATIONS[f"expect_{name}"]
    where: dict[str, Any] = {}
    if target:
        where = {"column": target[0]} if rule.target == "column" else {"columns": list(target)}
    return {"expectation": f"expect_{name}", "kwargs": dict(kwargs or {}), "why": "w", **where}


def figures(names: Sequence[str]) -> list[dict[str, Any]]:
    """Checks of each column that ask for one figure of it, whatever it holds."""
    made = []
    for name in names:
        kind = "time" if name in TIMES else "number"
        heavy = ["median"] if name in HEAVY else []
        for bound in BOUNDS[kind]:
            made += [check(f"column_{f}_to_be_between", bound, name) for f in ("min", "max", "mean", *heavy)]
            made.append(check("column_values_to_be_between", {**bound, "mostly": 0.5}, name))
        made += [check(f"column_{f}_to_be_between", {"max_value": 1.5}, name) for f in ("stdev", "sum")]
        made.append(check("column_proportion_of_non_null_values_to_be_between", {"min_value": 0.9}, name))
        made += [check(f"column_values_to_{f}", {}, name) for f in ("not_be_null", "be_null")]
        if heavy:
            made.append(check("column_unique_value_count_to_be_between", {"max_value": 3}, name))
            made.append(check("column_proportion_of_unique_values_to_be_between", {"max_value": 0.2}, name))
            made.append(check("column_values_to_be_unique", {}, name))
        for members in SETS:
            made += [check(f"column_values_to_{f}be_in_set", {"value_set": members}, name) for f in ("", "not_")]
        for sides in (True, False):
            z_score = {"threshold": 0.5, "double_sided": sides}
            made.append(check("column_value_z_scores_to_be_less_than", z_score, name))
    return made


def texts(names: Sequence[str], regexes: Sequence[str]) -> list[dict[str, Any]]:
    """Checks of the texts of values."""
    made = []
    for name in names:
        for regex in regexes:
            made += [check(f"column_values_to_{f}match_regex", {"regex": regex}, name) for f in ("", "not_")]
        made.append(check("column_value_lengths_to_equal", {"value": 1}, name))
        made.append(check("column_value_lengths_to_be_between", {"min_value": 2, "max_value": 3}, name))
    return made


def records(*targets: Sequence[str]) -> list[dict[str, Any]]:
    """Checks of several columns together."""
    made = []
    for target in targets:
        made += [
            check("column_pair_values_to_be_equal", {}, *target[:2]),
            check("column_pair_values_a_to_be_greater_than_b", {}, *target[:2]),
            check("column_pair_values_a_to_be_greater_than_b", {"or_equal": True}, *target[:2]),
            check("compound_columns_to_be_unique", {}, *target),
            check("select_column_values_to_be_unique_within_record", {}, *target),
            check("multicolumn_sum_to_equal", {"sum_total": 3}, *target),
        ]
    return made


TABLE = [
    check("table_row_count_to_be_between", {"min_value": 1, "max_value": 100}),
    check("table_row_count_to_equal", {"value": 24}),
]
RECORDS = [
    ("x", "n"),
    ("f", "big"),
    ("whole", "tiny"),
    ("unsigned", "big", "whole"),
    ("text", "word"),
    ("day", "at"),
    ("flag", "yes", "n"),
    ("a", "A", ODD),
    ("x", "text"),
]
