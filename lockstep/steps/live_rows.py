"""The live rows of a partition: from the files that its run staged, or from the warehouse where these are gone."""

import datetime as dt

import pyarrow as pa
import pyarrow.dataset as ds

from lockstep.errors import LockstepError, PublishError, RowsUnreadable, WarehouseBusy
from lockstep.publish.contract import Publication, PublishRequest, Warehouse
from lockstep.run.folder import RunFolder
from lockstep.specs.settings import Settings
from lockstep.steps.request import publish_request


def live_rows(
    warehouse: Warehouse, live: Publication, settings: Settings, *, partition_column: str
) -> pa.Table | ds.Dataset:
    """Return the rows that a publication made live.

    Retention keeps the run folder of whatever is live, so the warehouse is asked only where somebody else deleted it.

    Args:
        warehouse: Where they are live.
        live: The live entry of the partition.
        settings: Who is at work.
        partition_column: Date column of the table.

    Raises:
        RowsUnreadable: Neither the folder nor the warehouse has them.
        WarehouseBusy: The warehouse has to be asked, and is busy.
    """
    request = staged_request(live, settings)
    if request is not None:
        files = [str(file.path) for file in request.files]
        return ds.dataset(files, format="parquet") if files else pa.table({})
    day = live.partition
    try:
        columns, rows = warehouse.read_days(live.table, column=partition_column, first=day, last=day)
    except WarehouseBusy:
        raise
    except PublishError as error:
        raise _unreadable(live, f"its files are gone, and the warehouse says: {error}") from error
    if len(rows) != live.rows:
        raise _unreadable(
            live, f"its files are gone, and the warehouse has {len(rows)} rows where {live.rows} went live"
        )
    return pa.table({name: [row[place] for row in rows] for place, name in enumerate(columns)})


def staged_request(live: Publication, settings: Settings) -> PublishRequest | None:
    """Return what was asked for when these rows were published, if its files are all there; `None` otherwise."""
    folder = RunFolder.at(live.run_folder)
    try:
        claim, published = folder.claim(step="labels"), folder.plan(step="labels").spec.publish.table
        shadow = None if claim.table == published else claim.table
        request = publish_request(folder, settings, now=dt.datetime.now(dt.UTC), shadow=shadow)
    except LockstepError:
        return None
    there = all(file.path.is_file() and file.path.stat().st_size == file.size_bytes for file in request.files)
    same = (claim.table, request.run_key, request.rows) == (live.table, live.run_key, live.rows)
    return request if there and same else None


def _unreadable(live: Publication, reason: str) -> RowsUnreadable:
    return RowsUnreadable(live.table, partition=live.partition.isoformat(), reason=reason)
