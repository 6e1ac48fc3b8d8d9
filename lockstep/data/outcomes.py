"""Outcomes: what happened to the rows that were scored, by the spec's own query, beside their scores."""

import contextlib
import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from lockstep.data.snapshot import OUTCOMES_VIEW
from lockstep.errors import ColumnMissing, LabelsUnusable
from lockstep.run.plan import SourceFile
from lockstep.specs.input_spec import Source
from lockstep.specs.labels_spec import LabelSource
from lockstep.specs.spec import ScoringSpec
from lockstep.storage.files import Location, local_copy, location
from lockstep.storage.objects import ObjectPath

Rows: TypeAlias = "pa.Table | ds.Dataset"
SCORES_VIEW, LABEL_COLUMN = "scores", "label"
ROWS, ANSWER = "lockstep_rows", "lockstep_labels"
# Arrow's types of a source that has no file to say so.
EMPTY_TYPES = {
    "string": pa.string(),
    "int": pa.int32(),
    "long": pa.int64(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", "UTC"),
}
# What these say is about the query; what others say may hold values of rows.
ABOUT_THE_QUERY = (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException)


@dataclass(frozen=True)
class LabelQuery:
    """The query of a spec's labels.

    Attributes:
        text: SQL over the views `outcomes` and `scores` that gives key columns and `label`.
        origin: Its file, for messages.
        key: Columns that name a row.
        carried: Columns of the published rows that the query sees in `scores`.
        binary: Whether labels must be 0 or 1.
    """

    text: str
    origin: str
    key: Sequence[str]
    carried: Sequence[str]
    binary: bool


def outcome_source(spec: ScoringSpec, source: LabelSource) -> Source:
    """Return the table of outcomes as a source, whether it is one of the input's or another."""
    named = None if source.name is None else spec.input.sources[source.name]
    partition = source.partition if named is None else named.partition
    return Source(
        path=(source.path or "") if named is None else named.path,
        partition=partition,
        days=None if partition is None else source.days,
        columns=source.columns if named is None else named.columns,
    )


def outcomes_of(source: Source, files: Sequence[SourceFile], data_root: Location) -> Rows:
    """Return the outcomes in some files: the declared columns and, as a date, the partition column."""
    day = [] if source.partition is None else [pa.field(source.partition, pa.date32())]
    columns = [name for name in source.columns if name != source.partition]
    if not files:
        empty = [pa.field(name, EMPTY_TYPES[source.columns[name]]) for name in columns]
        return pa.schema([*empty, *day]).empty_table()
    local = [local_copy(location(file.path)) for file in files]
    found = [pq.read_schema(file) for file in local]
    schema = pa.unify_schemas(
        [pa.schema([one.field(name) for name in columns]) for one in found], promote_options="permissive"
    )
    if isinstance(data_root, ObjectPath):
        fields = [field.remove_metadata() for field in schema]
        pairs = zip(local, files, strict=True)
        return pa.concat_tables(_dated(*pair, fields=fields, partition=source.partition) for pair in pairs)
    return ds.dataset(
        [file.path for file in files],
        schema=pa.schema([*(field.remove_metadata() for field in schema), *day]),
        format="parquet",
        partitioning=ds.partitioning(pa.schema(day), flavor="hive") if day else None,
        partition_base_dir=str(data_root / source.path),
    )


def _dated(file: Path, origin: SourceFile, *, fields: Sequence[pa.Field], partition: str | None) -> pa.Table:
    """Read a file as the dataset of them all would, with the day that its folder is named after."""
    table = pq.read_table(file, columns=[field.name for field in fields]).cast(pa.schema(fields))
    if partition is None:
        return table
    prefix = f"{partition}="
    day = next(part.removeprefix(prefix) for part in origin.path.split("/") if part.startswith(prefix))
    days = pa.repeat(pa.scalar(dt.date.fromisoformat(day), pa.date32()), table.num_rows)
    return table.append_column(partition, days)


def labelled_rows(
    rows: Rows, outcomes: Rows, query: LabelQuery, *, columns: Mapping[str, str], day: dt.date
) -> pa.Table:
    """Put the label of each published row beside it.

    Args:
        rows: The published rows of a day.
        outcomes: What the query sees as `outcomes`.
        query: Gives the labels.
        columns: Columns of the result to columns of the rows; the label, as a double, is `LABEL_COLUMN`.
        day: The day, for messages.

    Returns:
        As many rows as were published; a row without a label has null.

    Raises:
        ColumnMissing: The rows or the query's result lack a column.
        LabelsUnusable: The query fails, names a row twice, or gives labels of another kind.
    """
    _require(rows.schema.names, [*query.carried, *columns.values()], where="the published rows")
    with _engine() as engine:
        engine.register(ROWS, rows)
        engine.register(OUTCOMES_VIEW, outcomes)
        _answer(engine, query, day)
        joined = " AND ".join(f"r.{_quoted(name)} IS NOT DISTINCT FROM a.{_quoted(name)}" for name in query.key)
        chosen = ", ".join(f"r.{_quoted(name)} AS {_quoted(to)}" for to, name in columns.items())
        with _blamed(query, day):
            found: pa.Table = engine.execute(
                f"SELECT {chosen}, a.{LABEL_COLUMN} FROM {ROWS} AS r LEFT JOIN {ANSWER} AS a ON {joined}"  # noqa: S608
            ).to_arrow_table()
    return found


@contextlib.contextmanager
def _engine() -> Iterator[duckdb.DuckDBPyConnection]:
    """Open an engine that sees what it is given, and neither files nor variables."""
    config: dict[str, str | bool | int | float | list[str]] = {
        "enable_external_access": "false",
        "python_enable_replacements": "false",
    }
    with duckdb.connect(":memory:", config=config) as engine:
        engine.execute("SET enable_progress_bar = false")
        yield engine


def _answer(engine: duckdb.DuckDBPyConnection, query: LabelQuery, day: dt.date) -> None:
    """Run the query once, and check what it gives."""
    names = ", ".join(map(_quoted, query.key))
    carried = ", ".join(map(_quoted, query.carried))
    text = f"SELECT * FROM (\n{query.text.strip().rstrip(';')}\n) AS answer"  # noqa: S608 - the spec's own query
    with _blamed(query, day):
        engine.execute(f"CREATE VIEW {SCORES_VIEW} AS SELECT {carried} FROM {ROWS}")  # noqa: S608 - quoted
        given = [row[0] for row in engine.execute(f"DESCRIBE {text}").fetchall()]
        _require(given, [*query.key, LABEL_COLUMN], where=f"the result of {query.origin}")
        value = f"CAST({LABEL_COLUMN} AS DOUBLE)"
        engine.execute(
            f"CREATE TEMP TABLE {ANSWER} AS SELECT {names}, "  # noqa: S608 - quoted
            f"CASE WHEN isnan({value}) THEN NULL ELSE {value} END AS {LABEL_COLUMN} FROM ({text})"
        )
    twice = f"SELECT count(*) FROM (SELECT 1 FROM {ANSWER} GROUP BY {names} HAVING count(*) > 1)"  # noqa: S608
    repeated = _count(engine, twice)
    if repeated:
        problem = f"gives {repeated} rows more than one label"
        advice = f"Let it return one row for each ({', '.join(query.key)})."
        raise LabelsUnusable(query.origin, partition=day.isoformat(), problem=problem, advice=advice)
    other = _count(engine, f"SELECT count(*) FROM {ANSWER} WHERE {LABEL_COLUMN} NOT IN (0, 1)") if query.binary else 0  # noqa: S608
    if other:
        problem = f"gives {other} labels other than 0 and 1"
        advice = "Let it return 0, 1 or null, or set labels.kind: regression."
        raise LabelsUnusable(query.origin, partition=day.isoformat(), problem=problem, advice=advice)


def _count(engine: duckdb.DuckDBPyConnection, query: str) -> int:
    return int((engine.execute(query).fetchone() or (0,))[0])


@contextlib.contextmanager
def _blamed(query: LabelQuery, day: dt.date) -> Iterator[None]:
    """Say in an error of the engine which query it is about, without a value of a row."""
    try:
        yield
    except duckdb.Error as error:
        said = str(error).splitlines()[0] if isinstance(error, ABOUT_THE_QUERY) else type(error).__name__
        advice = "Correct the query and run the same command again."
        raise LabelsUnusable(
            query.origin, partition=day.isoformat(), problem=f"failed: {said}", advice=advice
        ) from error


def _require(there: Sequence[str], wanted: Sequence[str], *, where: str) -> None:
    for name in wanted:
        if name not in there:
            raise ColumnMissing(name, where=where, expected="it for the labels", got=there)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
