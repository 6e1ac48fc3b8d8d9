"""The files of a day in a Delta table, from its transaction log."""

import datetime as dt
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from lockstep.data.table_scan import Day, ScannedFile, TableScan, absolute, check_whole, days_text, not_found
from lockstep.errors import TableNotFound, TableUnsupported
from lockstep.scoring import storage
from lockstep.scoring.units import DataFile
from lockstep.specs.input_spec import Table
from lockstep.storage.files import Location

# Reader features that do not change which rows a data file holds, nor under which names.
HARMLESS = {
    "appendOnly", "checkConstraints", "clustering", "deletionVectors", "domainMetadata", "generatedColumns",
    "identityColumns", "invariants", "timestampNtz", "typeWidening", "v2Checkpoint", "vacuumProtocolCheck",
    "variantType", "variantShredding",
}  # fmt: skip
ADVICE = "Write the table without it, or score a copy that input.query makes"


def scan_delta(table: Table, day: Day, data_root: Location) -> TableScan:
    """Find the day in a Delta table, by its partition values or else by the column's statistics.

    Raises:
        TableNotFound: There is no Delta table.
        TableUnsupported: It has deletion vectors, mapped columns or features that are not known here.
        PartitionNotFound: It has no file for the day.
    """
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    label = absolute(str(table.path), data_root)
    try:
        delta = DeltaTable(label)
        _check_features(delta, label)
        schema = pa.schema(delta.schema().to_arrow())
        actions = pa.table(delta.get_add_actions(flatten=True)).to_pylist()
        partitioned = delta.metadata().partition_columns
    except (DeltaError, OSError, ValueError) as error:
        raise TableNotFound(label, kind="Delta", reason=storage.reason(error)) from error
    check_whole(table, day, has_column=day.column in schema.names, label=label)
    chosen = sorted((a for a in actions if table.whole or _may_hold(a, day, partitioned)), key=lambda a: a["path"])
    if not chosen:
        raise not_found(label, day, available=_available(actions, day, partitioned))
    files = [ScannedFile(_data_file(a, label, day, table=table, partitioned=partitioned)) for a in chosen]
    return TableScan(label, tuple(files), schema=schema, columns_of=_absent_are_null(schema))


def _check_features(delta: Any, label: str) -> None:
    if delta.metadata().configuration.get("delta.columnMapping.mode", "none") != "none":
        problem = "its columns are mapped (delta.columnMapping.mode), so that files have other names than the table"
        raise TableUnsupported(label, problem=problem, advice=ADVICE)
    features = set(delta.protocol().reader_features or ())
    unknown = sorted(features - HARMLESS - {"columnMapping"})
    if unknown:
        problem = f"it needs the reader features {', '.join(unknown)}, which are not known here"
        raise TableUnsupported(label, problem=problem, advice=ADVICE)
    if "deletionVectors" in features:
        count = _deletion_vectors(delta)
        if count:
            problem = f"{count} have deletion vectors, and rows that are deleted would be scored"
            advice = "Purge them (REORG TABLE ... APPLY (PURGE)), or score a copy that input.query makes"
            raise TableUnsupported(label, problem=problem, advice=advice)


def _deletion_vectors(delta: Any) -> str:
    """Return how many files have deletion vectors, as text; empty: none has."""
    from deltalake.exceptions import DeltaError

    try:
        count = pa.table(delta.deletion_vectors()).num_rows
    except DeltaError:  # there are some, and they cannot even be read
        return "some of its files"
    return f"{count} of its files" if count else ""


def _may_hold(action: Mapping[str, Any], day: Day, partitioned: list[str]) -> bool:
    wanted = day.value.isoformat()
    if day.column in partitioned:
        return _text(action[f"partition.{day.column}"]) == wanted
    low, high = _text(action.get(f"min.{day.column}")), _text(action.get(f"max.{day.column}"))
    return low is None or high is None or low <= wanted <= high


def _available(actions: list[dict[str, Any]], day: Day, partitioned: list[str]) -> str:
    names = [f"partition.{day.column}"] if day.column in partitioned else [f"{m}.{day.column}" for m in ("min", "max")]
    return days_text({text for a in actions for n in names if (text := _text(a.get(n))) is not None})


def _data_file(action: Mapping[str, Any], label: str, day: Day, *, table: Table, partitioned: list[str]) -> DataFile:
    constants = {name: _text(action[f"partition.{name}"]) for name in partitioned}
    if table.whole:
        constants[day.column] = day.value.isoformat()
    path = unquote(action["path"])
    return DataFile(
        path=path if storage.is_url(path) or path.startswith("/") else f"{label.rstrip('/')}/{path}",
        constants=constants,
        where=None if table.whole or day.column in partitioned else day.filter(),
        size_bytes=int(action["size_bytes"]),
    )


def _text(value: object) -> str | None:
    """Return a partition value as text that Arrow reads back."""
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, dt.date | dt.datetime) else str(value)


def _absent_are_null(schema: pa.Schema) -> Any:
    """A column that was added to the table is null in older files."""

    def columns_of(footer: pq.FileMetaData) -> tuple[dict[str, str | None], dict[str, str]]:
        stored = set(footer.schema.to_arrow_schema().names)
        return {name: None for name in schema.names if name not in stored}, {}

    return columns_of
