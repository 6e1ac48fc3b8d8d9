"""Files of the log: from a spool to a Parquet file that is there as a whole or not at all."""

import datetime as dt
import os
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

from lockstep.scoring.staged import COMPRESSION, group_rows
from lockstep.serving.inference_log.layout import DATE, HOUR, layout_of
from lockstep.serving.inference_log.spool import HOUR_S, claimed, hour_of, reading, stem_of

PARQUET, PARTIAL = ".parquet", ".partial"
# Numbers that are the same in many rows, and so are written once, as all texts are.
REPEATED = ("model_version", "block_rows", "batch_rows")


def model_folder(root: Path, model: str) -> Path:
    """Return the folder of a model's rows: a table with the partitions `date` and `hour`, both in UTC."""
    name = quote(model, safe=" ")
    return root / (f"%2E{name[1:]}" if name.startswith(".") else name)


def hour_folder(root: Path, model: str, hour: int) -> Path:
    """Return the folder of an hour, given in hours since 1970."""
    moment = dt.datetime.fromtimestamp(hour * HOUR_S, dt.UTC)
    return model_folder(root, model) / f"{DATE}={moment:%Y-%m-%d}" / f"{HOUR}={moment:%H}"


def finish(root: Path, spool: Path) -> Path | None:
    """Turn a spool that nobody writes into a file of the log, and remove it.

    Args:
        root: Folder of the log.
        spool: A stream in its hidden folder.

    Returns:
        The file; none when another process has the spool or had it, or there is no row in it.

    Raises:
        OSError: The file cannot be written; the spool is still there.
    """
    with claimed(spool) as mine:
        if not mine:
            return None
        target = None
        with reading(spool) as (schema, batches):
            first = next(batches, None)
            if schema is not None and first is not None:
                layout = layout_of(schema)
                name = f"v{layout.model_version}-{stem_of(spool)}{PARQUET}"
                target = hour_folder(root, layout.model_name, hour_of(spool)) / name
                _write(target, schema, chain([first], batches), partial=spool.with_suffix(PARTIAL))
        spool.unlink()
        return target


def _write(target: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch], *, partial: Path) -> None:
    try:
        with _writer(partial, schema) as writer:
            for table in _grouped(batches, schema):
                writer.write_table(table, row_group_size=table.num_rows)
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    repeated = [field.name for field in schema if pa.types.is_string(field.type) or field.name in REPEATED]
    floats = [field.name for field in schema if pa.types.is_float32(field.type) or pa.types.is_float64(field.type)]
    encodings = {"log_id": "DELTA_BINARY_PACKED", **dict.fromkeys(floats, "BYTE_STREAM_SPLIT")}
    return pq.ParquetWriter(path, schema, compression=COMPRESSION, use_dictionary=repeated, column_encoding=encodings)


def _grouped(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    """Put small batches together until they make a row group."""
    waiting: list[pa.RecordBatch] = []
    wanted, rows = group_rows(schema), 0
    for batch in batches:
        waiting.append(batch)
        rows += batch.num_rows
        if rows >= wanted:
            yield pa.Table.from_batches(waiting)
            waiting, rows = [], 0
    if waiting:
        yield pa.Table.from_batches(waiting)
