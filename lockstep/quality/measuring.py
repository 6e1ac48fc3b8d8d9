"""Answer questions about rows inside this process, all of a round together.

A round is one pass over plain numbers (`lockstep.quality.numbers`), one query of the embedded engine for what else can
be said in SQL, and one pass for each exact count of other values.
"""

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import duckdb
import numpy.typing as npt
import pyarrow as pa

from lockstep.errors import FileUnreadable
from lockstep.quality.asks import Aggregate, Ask, Distinct, HashSum, Median, Repeated, Repeats, Tally
from lockstep.quality.columns import Column, Kind, columns_of
from lockstep.quality.distinct import count_distinct, repeated, words, words_of
from lockstep.quality.footers import constants
from lockstep.quality.measurement import UNREADABLE, Engine, Measurement, grouped, hashed, mentions, plain
from lockstep.quality.numbers import Moments, Numbers, is_plain, read_numbers
from lockstep.quality.rows import Rows
from lockstep.quality.tally import misfits

# Above it exact counts are left to the engine, which is slower and needs no memory that grows with the rows.
MOST_ROWS_IN_MEMORY = 1 << 27
# Repeated hashes that are looked up one by one; if there are more, all rows are grouped.
MOST_SUSPECTS = 100_000
AT_ONCE = 2
# What one query answers, whatever their number.
IN_SQL = (Aggregate, Median, HashSum)
# Conditions say it as Spark does.
MATCHES = "regexp_like(t, p) AS regexp_matches(t, p)"


class EmbeddedMeasurement(Measurement):
    """Rows and an engine inside this process that measures them."""

    def __init__(self, rows: Rows, engine: duckdb.DuckDBPyConnection, *, names: Sequence[str]) -> None:
        """Store what is measured; `names` are all columns and figures that questions may name."""
        self._names = tuple(dict.fromkeys(names))
        super().__init__(columns_of(self._names, rows.schema, where=rows.where))
        self._rows = rows
        self._engine = engine
        self._moments: dict[str, Moments] = {}
        self._keys: dict[tuple[Column, ...], tuple[Column, ...]] = {}

    def rows_where(self, condition: str, *, names: Sequence[str], limit: int) -> list[tuple[Any, ...]]:
        """Return some rows that meet a condition."""
        every = [name for name, column in self.columns.items() if name in names or mentions(condition, column)]
        listed = ", ".join(self.columns[name].sql for name in names)
        with self._cursor() as engine:
            source = self._source(engine, every)
            marked = f"SELECT *, {condition} AS misfit FROM {source}"  # noqa: S608 - names of our own
            query = f"SELECT {listed} FROM ({marked}) WHERE misfit ORDER BY {listed} LIMIT {limit}"  # noqa: S608
            return engine.execute(query).fetchall()

    def _measure(self, asks: Sequence[Ask]) -> dict[Ask, Any]:
        numbers = [ask for ask in asks if self._is_plain(ask)]
        aggregates = [ask for ask in asks if isinstance(ask, IN_SQL) and ask not in numbers]
        others = [ask for ask in asks if not isinstance(ask, IN_SQL) and ask not in numbers]
        found: dict[Ask, Any] = {}
        with ThreadPoolExecutor(AT_ONCE) as pool:
            exact = {ask: pool.submit(self._exact, ask) for ask in others}
            if aggregates:
                found.update(zip(aggregates, self._aggregates(aggregates), strict=True))
            if numbers:
                found.update(self._numbers(numbers))
            return found | {ask: future.result() for ask, future in exact.items()}

    def _is_plain(self, ask: Ask) -> bool:
        """Whether an answer comes from arrays of numbers."""
        if isinstance(ask, Aggregate):
            return ask.moment is not None and is_plain(self._rows.stored(ask.columns[0]))
        if isinstance(ask, Distinct):
            return is_plain(self._rows.stored(ask.column.name)) and self._fits_memory()
        if isinstance(ask, Repeats):
            varying = self._varying(ask.key)
            return len(varying) == 1 and is_plain(self._rows.stored(varying[0].name)) and self._fits_memory()
        return False

    def _varying(self, key: tuple[Column, ...]) -> tuple[Column, ...]:
        """Return the columns of a key without those that are the same in all rows, which tell no two rows apart."""
        if key not in self._keys:
            fixed = constants(self._rows.files or (), [column.name for column in key])
            self._keys[key] = tuple(column for column in key if column.name not in fixed)
        return self._keys[key]

    def _numbers(self, asks: Sequence[Ask]) -> dict[Ask, Any]:
        """Answer what comes from arrays of numbers; these are let go when all is counted, their moments are kept."""
        looked = {ask: self._varying(ask.key)[0].name if isinstance(ask, Repeats) else ask.columns[0] for ask in asks}
        kept = {looked[ask] for ask in asks if not isinstance(ask, Aggregate)}
        unread = [name for name in dict.fromkeys(looked.values()) if name in kept or name not in self._moments]
        names = {name: name in kept for name in unread}
        with self._reading():
            found = read_numbers(self._rows.readers(list(names)), names) if names else {}
        self._moments |= {name: numbers.moments for name, numbers in found.items()}
        return {
            ask: plain(getattr(self._moments[name], str(ask.moment)))
            if isinstance(ask, Aggregate)
            else self._counted(ask, found[name])
            for ask, name in looked.items()
        }

    def _counted(self, ask: Ask, numbers: Numbers) -> Any:
        if isinstance(ask, Distinct):
            return count_distinct(words_of(numbers.values))
        if numbers.surely_differ or (numbers.nulls < 2 and not len(repeated(words_of(numbers.values)))):
            return Repeated(0, 0, 0)
        return self._exact(ask)  # some are equal: the engine says which

    def _aggregates(self, asks: Sequence[Ask]) -> tuple[Any, ...]:
        names = dict.fromkeys(name for ask in asks for name in ask.columns)
        with self._cursor() as engine:
            source = self._rows.relation(engine, names=list(names), known=self._names)
            row = engine.execute(f"SELECT {', '.join(map(_sql, asks))} FROM {source}").fetchone()  # noqa: S608
        return tuple(plain(value) for value in row or ())

    def _exact(self, ask: Ask) -> Any:
        with self._cursor() as engine:
            if isinstance(ask, Distinct):
                return self._distinct(engine, ask.column)
            if isinstance(ask, Repeats):
                return self._repeats(engine, ask.key)
            if isinstance(ask, Tally):
                return misfits(engine, self._source(engine, ask.columns), ask)
            raise TypeError(type(ask))

    @contextlib.contextmanager
    def _cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with self._engine.cursor() as engine, self._reading():
            engine.execute("SET enable_progress_bar = false")  # it would draw on our standard output
            yield engine

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (duckdb.Error, pa.ArrowException):  # whose message may quote a value
            problem = next(iter(self._rows.problems), None)
            raise problem or FileUnreadable(f"of {self._rows.where}", reason=UNREADABLE) from None

    def _source(self, engine: duckdb.DuckDBPyConnection, names: Sequence[str]) -> str:
        return self._rows.relation(engine, names=names, known=self._names)

    def _distinct(self, engine: duckdb.DuckDBPyConnection, column: Column) -> int:
        if column.kind is Kind.NUMBER and self._fits_memory():  # decimals
            source = self._source(engine, (column.name,))
            query = f"SELECT {column.sql} FROM {source} WHERE {column.sql} IS NOT NULL"  # noqa: S608 - names of our own
            return count_distinct(words(_array(engine, query)))
        source = self._source(engine, (column.name,))
        return int(_one(engine, f"SELECT count(DISTINCT {column.sql}) FROM {source}"))  # noqa: S608 - names of our own

    def _repeats(self, engine: duckdb.DuckDBPyConnection, key: tuple[Column, ...]) -> Repeated:
        names, listed = [column.name for column in key], ", ".join(map(grouped, self._varying(key) or key))
        only = ""
        if self._fits_memory():
            hashes = f"SELECT hash({listed}) FROM {self._source(engine, names)}"  # noqa: S608 - names of our own
            suspects = repeated(_array(engine, hashes))
            if not len(suspects):
                return Repeated(0, 0, 0)  # equal keys have equal hashes
            if len(suspects) <= MOST_SUSPECTS:
                engine.register("suspects", {"suspect": suspects})
                only = f"WHERE hash({listed}) IN (SELECT suspect FROM suspects)"  # noqa: S608 - names of our own
        empty = " AND ".join(f"{column.sql} IS NULL" for column in key)
        source = self._source(engine, names)
        groups = f"SELECT count(*) AS n, bool_and({empty}) AS empty FROM {source} {only} GROUP BY {listed}"  # noqa: S608
        query = f"SELECT count(*), sum(n), sum(n) FILTER (WHERE empty) FROM ({groups}) WHERE n > 1"  # noqa: S608
        keys, rows, null_rows = engine.execute(query).fetchone() or (0, 0, 0)
        return Repeated(int(keys), int(rows or 0), int(null_rows or 0))

    def _fits_memory(self) -> bool:
        with self._cursor() as engine:
            return int(_one(engine, f"SELECT count(*) FROM {self._source(engine, ())}")) <= MOST_ROWS_IN_MEMORY  # noqa: S608


@contextlib.contextmanager
def measuring(rows: Rows, *, names: Sequence[str]) -> Iterator[EmbeddedMeasurement]:
    """Open an engine in memory for the time of the body; what does not fit goes to a temporary folder.

    Raises:
        ColumnMissing: A column is not in the rows.
    """
    with tempfile.TemporaryDirectory(prefix="lockstep-checks-") as folder:
        options: dict[str, str | bool | int | float | list[str]] = {
            "temp_directory": folder,
            "autoinstall_known_extensions": False,
            # It reads rows twice where a query reads them once, and a stream of batches comes once only.
            "disabled_optimizers": "window_self_join",
        }
        with duckdb.connect(":memory:", config=options) as engine:
            engine.execute(f"CREATE MACRO {MATCHES}")
            yield EmbeddedMeasurement(rows, engine, names=names)


def _sql(ask: Ask) -> str:
    """Write what one query answers together."""
    if isinstance(ask, Median):
        column = ask.column
        return f"median({column.sql if column.kind is Kind.TIME else f'CAST({column.number} AS DOUBLE)'})"
    if isinstance(ask, HashSum):
        return f"sum(hash({', '.join(hashed(ask, whole='HUGEINT'))}))"
    if isinstance(ask, Aggregate):
        return ask.sql
    raise TypeError(type(ask))


def _array(engine: duckdb.DuckDBPyConnection, query: str) -> npt.NDArray[Any]:
    values: npt.NDArray[Any] = engine.execute(query).to_arrow_table().column(0).to_numpy()
    return values


def _one(engine: duckdb.DuckDBPyConnection, query: str) -> Any:
    row = engine.execute(query).fetchone()
    return row[0] if row else 0


EMBEDDED = Engine("embedded", measuring)
