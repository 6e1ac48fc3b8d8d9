"""DuckDB as the warehouse: one file, one writer at a time, real transactions."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lockstep.errors import PublishError
from lockstep.publish import duckdb_reporting, ledger
from lockstep.publish.contract import Publication, PublishRequest, ReportingTable
from lockstep.publish.duckdb_connection import Patience, connected, transaction
from lockstep.publish.duckdb_table import partition_rows, quoted, replace_partition, verify_files
from lockstep.run.plan import Claim


@dataclass(frozen=True)
class DuckDBWarehouse:
    """A DuckDB file; see `Warehouse` for the contract.

    Attributes:
        location: Path of the file.
        wait_s: How long to wait for another process that has it open, in seconds.
    """

    location: str
    wait_s: float

    @property
    def _path(self) -> Path:
        return Path(self.location)

    @property
    def _patience(self) -> Patience:
        return Patience(self.wait_s)

    def claim(self, table: str, *, partition: dt.date, run_key: str, now: dt.datetime) -> Claim:
        """Hand out the next fencing token of a partition."""
        with connected(self._path, self._patience) as connection, transaction(connection):
            ledger.ensure_ledger(connection)
            token = ledger.next_token(connection, table, partition)
            ledger.add_claim(connection, table, partition, token=token, run_key=run_key, now=now)
            live = ledger.live_publication(connection, table, partition)
        return Claim(
            token=token, table=table, claimed_at=now, already_live=live is not None and live.run_key == run_key
        )

    def live_run_key(self, table: str, partition: dt.date) -> str | None:
        """Return the run whose rows are live, or `None`. Writes nothing, not even an empty file."""
        if not self._path.exists():
            return None
        with connected(self._path, self._patience, read_only=True) as connection:
            if not ledger.has_ledger(connection):
                return None
            live = ledger.live_publication(connection, table, partition)
        return live.run_key if live else None

    def publish(self, request: PublishRequest) -> Publication:
        """Make a run's rows the partition, in one transaction; a run that is live already is a no-op.

        Raises:
            StaleRun: A run planned later is live.
            StagedFileChanged: A file is not what was scored.
            WarehouseLocked: Another process held the warehouse all the time.
            PublishError: The table has another shape, or the warehouse failed.
        """
        if request.table in ledger.RESERVED:
            raise PublishError(
                f"table {request.table} is Lockstep's own; set another publish.table in spec {request.spec}"
            )
        verify_files(request)
        describe = partial(ledger.publication, request, warehouse=self.location)
        with connected(self._path, self._patience) as connection, transaction(connection):
            ledger.ensure_ledger(connection)
            ledger.check_claim(connection, request)
            live = ledger.live_publication(connection, request.table, request.partition)
            ledger.fence(live, request)
            there = partition_rows(connection, request.table, request.partition_column, partition=request.partition)
            if live is not None and live.run_key == request.run_key and (there or 0) == live.rows:
                done = describe(outcome="noop", rows=live.rows, replaced=0, since=live.published_at)
            else:
                replaced = replace_partition(connection, request)
                done = describe(outcome="published", rows=request.rows, replaced=replaced, since=request.now)
            ledger.append(connection, done)
        return done

    def refresh_reporting(self, table: ReportingTable, partitions: Sequence[dt.date] | None) -> int:
        """Recompute partitions of a reporting table in one transaction; return the rows written."""
        consequence = f"The scores are live; reporting table {table.name} is as it was."
        with connected(self._path, self._patience, consequence=consequence) as connection, transaction(connection):
            ledger.ensure_ledger(connection)
            return duckdb_reporting.refresh(connection, table, partitions)

    def tables(self) -> list[str]:
        """Return the names of all tables and views; none when there is no warehouse yet."""
        if not self._path.exists():
            return []
        query = """
            SELECT table_name FROM duckdb_tables() WHERE NOT internal AND schema_name = 'main'
            UNION ALL SELECT view_name FROM duckdb_views() WHERE NOT internal AND schema_name = 'main' ORDER BY 1
        """
        with connected(self._path, self._patience, read_only=True, consequence="Nothing was changed.") as connection:
            return [row[0] for row in connection.execute(query).fetchall()]

    def read_table(self, name: str, *, limit: int | None) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Return the columns and the first rows of a table or view, ordered by all columns from the left."""
        query = f"SELECT * FROM main.{quoted(name)} ORDER BY ALL" + ("" if limit is None else f" LIMIT {int(limit)}")  # noqa: S608
        with connected(self._path, self._patience, read_only=True, consequence="Nothing was changed.") as connection:
            result = connection.execute(query)
            return [column[0] for column in result.description or []], result.fetchall()
