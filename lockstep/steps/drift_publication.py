"""The drift of a run, as a table beside the published one."""

import contextlib
from dataclasses import replace

import pyarrow.parquet as pq

from lockstep.errors import StaleRun
from lockstep.publish.contract import PublishRequest, StagedFile, Warehouse
from lockstep.quality.drift_table import PARTITION, table_name
from lockstep.run.folder import DRIFT, RunFolder
from lockstep.run.identity import file_sha256


def publish_drift(folder: RunFolder, warehouse: Warehouse, request: PublishRequest) -> None:
    """Publish `drift.parquet` to the table's drift table, if the run is the live one; repeating it changes nothing.

    The claim comes before the look at what is live: a run that is overtaken after it has the lower token.

    Args:
        folder: The run; one without `drift.parquet` (of an earlier version), or of which no drift can be told, has none
            to publish.
        warehouse: Where its rows are.
        request: What was asked for its rows.
    """
    if not folder.has(DRIFT):
        return
    path = folder.local(DRIFT)
    table, rows = table_name(request.table), pq.read_metadata(path).num_rows
    if not rows and warehouse.live(table, request.partition) is None:
        return
    claim = warehouse.claim(table, partition=request.partition, run_key=request.run_key, now=request.now)
    live = warehouse.live(request.table, request.partition)
    if claim.already_live or live is None or live.run_key != request.run_key:
        return
    file = StagedFile(path, size_bytes=path.stat().st_size, sha256=file_sha256(path))
    own = {"table": table, "partition_column": PARTITION, "token": claim.token, "files": [file], "rows": rows}
    with contextlib.suppress(StaleRun):
        warehouse.publish(replace(request, **own, reporting=()))
