"""The staged files of a request: are they what was scored, and what do their footers say?"""

import datetime as dt
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from lockstep.errors import PublishError, StagedFileChanged
from lockstep.publish.contract import PublishRequest, StagedFile
from lockstep.run.identity import file_sha256

THREADS = 8


@dataclass(frozen=True)
class Footer:
    """One staged file and what the end of it says.

    Attributes:
        file: The file.
        rows: How many it holds.
        schema: Its columns; one object for all files that have the same.
    """

    file: StagedFile
    rows: int
    schema: pa.Schema

    @property
    def metadata(self) -> pq.FileMetaData:
        """Everything at its end, read again: kept for each file of a large run it would fill the memory."""
        return _read(self.file)


def verify_files(request: PublishRequest) -> None:
    """Raise `StagedFileChanged` unless every file has the size and hash of the manifest."""
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(_verify, request.files))


def read_footers(request: PublishRequest) -> list[Footer]:
    """Read the footers of the staged files, and check rows, columns and partition by them.

    Raises:
        StagedFileChanged: A file cannot be read.
        PublishError: The files do not hold the rows of the manifest, hold another partition, or differ in columns.
    """
    known: dict[pa.Schema, pa.Schema] = {}

    def footer(file: StagedFile) -> Footer:
        metadata = _read(file)
        _check_partition(file, metadata, request)
        schema = metadata.schema.to_arrow_schema().remove_metadata()
        return Footer(file, metadata.num_rows, known.setdefault(schema, schema))

    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(footer, request.files))
    rows = sum(each.rows for each in found)
    if rows != request.rows:
        raise PublishError(
            f"partition {request.partition} of {request.table}: the staged files hold {rows} rows; expected the "
            f"{request.rows} of the manifest. Nothing was published and what was live stays. Delete the run folder and "
            "run the same command again."
        )
    if len(known) > 1:
        raise PublishError(
            f"the staged files of run {request.run_key} differ in their columns or types. Nothing was published and "
            "what was live stays. Delete the run folder and run the same command again."
        )
    return found


def _verify(file: StagedFile) -> None:
    try:
        size, sha256 = file.path.stat().st_size, file_sha256(file.path)
    except OSError as error:
        raise StagedFileChanged(str(file.path), expected="the scored file", got=error.strerror or str(error)) from error
    if (size, sha256) != (file.size_bytes, file.sha256):
        expected = f"{file.size_bytes} bytes, sha256 {file.sha256}"
        raise StagedFileChanged(str(file.path), expected=expected, got=f"{size} bytes, sha256 {sha256}")


def _read(file: StagedFile) -> pq.FileMetaData:
    try:
        return pq.read_metadata(file.path)
    except (OSError, pa.ArrowException) as error:
        raise StagedFileChanged(str(file.path), expected="the scored file", got="no Parquet file") from error


def _check_partition(file: StagedFile, metadata: pq.FileMetaData, request: PublishRequest) -> None:
    """Every row group says by its least and greatest value that it holds this partition only."""
    bounds = column_bounds(metadata, request.partition_column)
    if bounds is not None and bounds != (request.partition, request.partition):
        raise PublishError(
            f"staged file {file.path.name} holds rows of another partition than {request.partition} of "
            f"{request.table} (or rows without one). Nothing was published and what was live stays. Delete the run "
            "folder and run the same command again."
        )


def column_bounds(metadata: pq.FileMetaData, column: str) -> tuple[dt.date | None, dt.date | None] | None:
    """Return the least and greatest date of a column by the statistics of a file; `None` when it has no rows.

    Both are `None` when a row group has nulls or no statistics.
    """
    names = [metadata.schema.column(index).path for index in range(metadata.num_columns)]
    if metadata.num_rows == 0:
        return None
    if column not in names:
        return None, None
    groups = [metadata.row_group(g).column(names.index(column)) for g in range(metadata.num_row_groups)]
    found: Sequence[pq.Statistics | None] = [group.statistics for group in groups if group.num_values]
    if any(stats is None or not stats.has_min_max or stats.null_count for stats in found):
        return None, None
    return min(stats.min for stats in found if stats), max(stats.max for stats in found if stats)
