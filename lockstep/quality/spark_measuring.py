"""Answer questions about rows with Spark, for partitions that are too big for one process.

A round is one job for all its aggregates, and one job for each exact count: those of different or repeated values and
those that only Python can say need the rows in groups. A median takes two.
"""

import contextlib
import functools
import itertools
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pyarrow as pa
from py4j.protocol import Py4JError  # type: ignore[import-untyped]
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from lockstep.errors import FileUnreadable
from lockstep.quality.asks import Aggregate, Ask, Distinct, HashSum, Median, Repeated, Repeats, Tally
from lockstep.quality.columns import Column, Kind, columns_of
from lockstep.quality.measurement import UNREADABLE, Engine, Measurement, grouped, hashed, mentions, plain
from lockstep.quality.rows import Rows
from lockstep.quality.spark_median import median
from lockstep.quality.spark_rows import frame_of
from lockstep.quality.tally import UNITS_US, Look, precision

AT_ONCE = 2
# Whatever the session of the caller says: the same SQL must mean the same.
SETTINGS = {
    "spark.sql.ansi.enabled": "true",  # a sum that does not fit is an error
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.timestampType": "TIMESTAMP_NTZ",
    "spark.sql.caseSensitive": "true",
    "spark.sql.variable.substitute": "false",  # a text of a suite may have ${...}
    "spark.sql.parser.escapedStringLiterals": "false",
    "spark.sql.legacy.consecutiveStringLiterals.enabled": "false",
    "spark.sql.parquet.inferTimestampNTZ.enabled": "true",
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.mergeSchema": "false",
    "spark.sql.files.ignoreMissingFiles": "false",
    "spark.sql.files.ignoreCorruptFiles": "false",
}
# What Spark says of files that cannot be read and of values that are not what they should be; it may quote them.
DATA_PROBLEM = re.compile(r"SQLSTATE: (?:22|KD)|pyarrow\.lib\.Arrow|UnicodeDecodeError")
LOW_BITS, LOW_MASK = 32, (1 << 32) - 1


class SparkMeasurement(Measurement):
    """Rows that a Spark session measures."""

    def __init__(self, spark: SparkSession, rows: Rows, *, names: Sequence[str]) -> None:
        """Store what is measured; `names` are all columns and figures that questions may name."""
        super().__init__(columns_of(tuple(dict.fromkeys(names)), rows.schema, where=rows.where))
        self._spark = spark
        self._rows = rows
        self._number = itertools.count()
        self._lock = threading.Lock()

    def rows_where(self, condition: str, *, names: Sequence[str], limit: int) -> list[tuple[Any, ...]]:
        """Return some rows that meet a condition."""
        every = [name for name, column in self.columns.items() if name in names or mentions(condition, column)]
        listed = [self.columns[name].sql for name in names]
        order = ", ".join(f"{sql} ASC NULLS LAST" for sql in listed)
        with self._view(every) as view:
            marked = f"SELECT *, {condition} AS misfit FROM {view}"  # noqa: S608 - names of our own
            query = f"SELECT {', '.join(listed)} FROM ({marked}) WHERE misfit ORDER BY {order} LIMIT {limit}"  # noqa: S608
            return [tuple(map(_cell, row)) for row in self._spark.sql(query).collect()]

    def _measure(self, asks: Sequence[Ask]) -> Mapping[Ask, Any]:
        together = [ask for ask in asks if isinstance(ask, Aggregate | HashSum)]
        apart = [ask for ask in asks if ask not in together]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            exact = {ask: pool.submit(self._exact, ask) for ask in apart}
            found: dict[Ask, Any] = dict(zip(together, self._aggregates(together), strict=True)) if together else {}
            return found | {ask: future.result() for ask, future in exact.items()}

    def _aggregates(self, asks: Sequence[Ask]) -> list[Any]:
        """Answer in one job; an exact sum takes two of its columns."""
        wanted = [self._sql(ask) for ask in asks]
        names = list(dict.fromkeys(name for ask in asks for name in ask.columns))
        values = iter(self._one(names, [sql for some in wanted for sql in some]))
        return [_put_together([next(values) for _ in some]) for some in wanted]

    def _sql(self, ask: Ask) -> list[str]:
        if isinstance(ask, HashSum):
            values = hashed(ask, whole="DECIMAL(20, 0)" if self._has_unsigned(ask.columns) else "BIGINT")
            # Spark's hash passes over nulls, and then (null, 1) would be (1, null).
            nulls = [f"{column.sql} IS NULL" for column in ask.hashed]
            return _halves(f"xxhash64({', '.join([*values, *nulls])})")
        if not isinstance(ask, Aggregate):
            raise TypeError(type(ask))
        if ask.terms is None or self._has_unsigned(ask.columns):
            return [ask.sql]
        return _halves(f"CAST({ask.terms} AS BIGINT)")

    def _has_unsigned(self, names: Sequence[str]) -> bool:
        """Whether a column has whole numbers beyond 63 bits, which Spark holds as decimals."""
        kinds = (self._rows.stored(name) for name in names)
        return any((kind.value_type if pa.types.is_dictionary(kind) else kind) == pa.uint64() for kind in kinds)

    def _exact(self, ask: Ask) -> Any:
        with self._view(ask.columns) as view:
            if isinstance(ask, Median):
                return median(self._spark, view, ask.column)
            if isinstance(ask, Distinct):
                return self._first(f"SELECT count(DISTINCT {grouped(ask.column)}) FROM {view}")[0]  # noqa: S608
            if isinstance(ask, Repeats):
                return self._repeats(view, ask.key)
            if isinstance(ask, Tally):
                return self._misfits(view, ask)
        raise TypeError(type(ask))

    def _repeats(self, view: str, key: Sequence[Column]) -> Repeated:
        listed = ", ".join(map(grouped, key))
        # Hashes are less to move and to group; nearly always no two are equal, and then no two keys are.
        hashes = f"SELECT /*+ REPARTITION(h) */ h FROM (SELECT xxhash64({listed}) AS h FROM {view})"  # noqa: S608
        if not self._first(f"SELECT count(*) FROM (SELECT count(*) AS n FROM ({hashes}) GROUP BY h) WHERE n > 1")[0]:  # noqa: S608
            return Repeated(0, 0, 0)
        empty = " AND ".join(f"{column.sql} IS NULL" for column in key)
        groups = f"SELECT count(*) AS n, bool_and({empty}) AS empty FROM {view} GROUP BY {listed}"  # noqa: S608
        query = f"SELECT count(*), sum(n), sum(n) FILTER (WHERE empty) FROM ({groups}) WHERE n > 1"  # noqa: S608
        keys, rows, null_rows = self._first(query)
        return Repeated(int(keys), int(rows or 0), int(null_rows or 0))

    def _misfits(self, view: str, tally: Tally) -> int:
        """Group the rows by value, and let Python workers look at each value once."""
        column = tally.column
        facts = [f"count(*) - count({column.sql})"]
        if column.kind is Kind.TIME:
            facts += [f"bool_or({column.micros} % {unit} <> 0)" for unit in UNITS_US.values()]
        missing, *between = self._first(f"SELECT {', '.join(facts)} FROM {view}")  # noqa: S608 - names of our own
        look = Look(tally, missing=bool(missing), precision=precision([bool(some) for some in between] or [False] * 3))
        signed = column.kind is Kind.NUMBER and not column.whole
        # 0.0 and -0.0 are equal and not the same text.
        groups = f"{column.sql}, startswith(CAST({column.sql} AS STRING), '-')" if signed else column.sql
        counted = self._spark.sql(
            f"SELECT any_value({column.sql}) AS value, count(*) AS times FROM {view} "  # noqa: S608 - names of our own
            f"WHERE {column.sql} IS NOT NULL GROUP BY {groups}"
        )
        wrong: DataFrame = counted.mapInArrow(_looking(look), "wrong bigint")
        return int((wrong.selectExpr("sum(wrong)").first() or [0])[0] or 0)

    def _one(self, names: Sequence[str], expressions: Sequence[str]) -> tuple[Any, ...]:
        with self._view(names) as view:
            return self._first(f"SELECT {', '.join(expressions)} FROM {view}")  # noqa: S608 - names of our own

    def _first(self, query: str) -> tuple[Any, ...]:
        return tuple(plain(_cell(value)) for value in self._spark.sql(query).first() or ())

    @contextlib.contextmanager
    def _view(self, names: Sequence[str]) -> Iterator[str]:
        """Give the rows a name for the time of the body, which may run queries over it."""
        with self._lock:
            view = f"checked_rows_{next(self._number)}"
        try:
            frame = frame_of(self._spark, self._rows, {name: self.columns[name] for name in names})
            frame.createOrReplaceTempView(view)
            yield view
        except (PySparkException, Py4JError) as error:
            if DATA_PROBLEM.search(str(error)):
                raise FileUnreadable(f"of {self._rows.where}", reason=UNREADABLE) from None
            raise
        finally:
            self._spark.catalog.dropTempView(view)


@contextlib.contextmanager
def measuring(spark: SparkSession, rows: Rows, *, names: Sequence[str]) -> Iterator[SparkMeasurement]:
    """Open a session of its own, with settings of its own, on the running Spark for the time of the body.

    Raises:
        ColumnMissing: A column is not in the rows.
    """
    session = spark.newSession()
    for name, value in SETTINGS.items():
        session.conf.set(name, value)
    yield SparkMeasurement(session, rows, names=names)


def spark_engine(spark: SparkSession) -> Engine:
    """Return the engine of checks that measures on a running Spark."""
    return Engine("spark", functools.partial(measuring, spark))


def _halves(terms: str) -> list[str]:
    """Sum whole numbers of 64 bits in two parts, neither of which can overflow on fewer than 2**31 rows."""
    return [f"sum({terms} >> {LOW_BITS})", f"sum({terms} & {LOW_MASK})"]


def _put_together(values: Sequence[Any]) -> Any:
    if len(values) == 1:
        return values[0]
    upper, lower = values
    return None if upper is None else (int(upper) << LOW_BITS) + int(lower)


def _cell(value: Any) -> Any:
    """Return a value as the embedded engine gives it; decimals are whole numbers that are too wide for Spark."""
    return int(value) if isinstance(value, Decimal) else value


def _looking(look: Look) -> Any:
    def count(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            values, times = (batch.column(name).to_pandas() for name in ("value", "times"))
            yield pa.record_batch({"wrong": pa.array([look.wrong(values, times)], pa.int64())})

    return count
