"""One client of BigQuery at work: queries, tables, load jobs and scripts."""

import contextlib
import datetime as dt
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from google.api_core import exceptions
from google.api_core.retry import Retry
from google.cloud import bigquery
from google.cloud.bigquery.retry import DEFAULT_RETRY

from lockstep.errors import CommitUncertain, PublishError
from lockstep.publish.bigquery.connection import (
    FAILURES,
    TRANSIENT,
    Dataset,
    connect,
    dataset_missing,
    first_line,
    quoted,
    reasons,
    translated,
    underlying,
)
from lockstep.publish.bigquery.script import MISCOUNTED, MOVED, PARAMETER_TYPES, Script
from lockstep.publish.bigquery.types import listed
from lockstep.publish.contract import StagedFile
from lockstep.publish.patience import Patience

UNPUBLISHED = "Nothing was published and what was live stays."
STAGED = "lockstep_staged_"
# A staging table that a killed process leaves behind goes by itself.
STAGED_FOR = dt.timedelta(hours=24)
UPLOADS, UPLOAD_TRIES = 8, 6
# BigQuery takes five changes of a table in ten seconds, load jobs among them; a query reads a thousand tables at most.
MOST_STAGED = 200
TOO_FAST = {"rateLimitExceeded", "jobRateLimitExceeded"}
# One request; what is waited for longer is asked for again.
ANSWER_S = 300.0
# What BigQuery says of the one of two transactions that it cancels.
CANCELLED = re.compile(r"concurrent update|could not serialize access|aborted due to concurrent", re.IGNORECASE)


class CommitLost(Exception):
    """Another writer was first, and nothing was written. Look again and try again."""


@dataclass(frozen=True)
class BigQuerySession:
    """A client of one dataset.

    Attributes:
        client: Of the project.
        dataset: With its region.
        location: As the settings name it, for messages.
        wait_s: How long a request is repeated that gets no answer, in seconds.
        expiring: Whether tables or partitions that are made there vanish after a time.
    """

    client: bigquery.Client
    dataset: Dataset
    location: str
    wait_s: float
    expiring: bool = False

    @property
    def _patient(self) -> dict[str, Any]:
        """How long requests of the client are repeated."""
        return {"retry": _retry(self.wait_s)}

    @property
    def _asked(self) -> dict[str, Any]:
        return {**self._patient, "timeout": ANSWER_S}

    @property
    def _place(self) -> dict[str, Any]:
        return {"location": self.dataset.region}

    def rows(self, query: str, parameters: Mapping[str, object] | None = None) -> list[tuple[Any, ...]]:
        """Run a query; return its rows.

        Args:
            query: One statement, with `@p_name` for each of the parameters.
            parameters: Their values; `PARAMETER_TYPES` has their types.
        """
        job = self.client.query(query, _config(parameters or {}), job_retry=None, **self._place, **self._asked)
        return [tuple(row.values()) for row in job.result(job_retry=None, **self._patient)]

    def run(self, script: Script, *, attempt: int) -> None:
        """Run a script as one job, once, however often it is sent.

        Raises:
            CommitLost: Another writer was first; nothing was written.
            CommitUncertain: It was sent, and there is no answer.
            PublishError: It failed; nothing was written.
        """
        job_id = script.job_id(attempt)
        try:
            self._job(script, job_id).result(job_retry=None, **self._patient)
        except FAILURES as caught:
            error = underlying(caught)
            said = first_line(error)
            if MOVED in said or CANCELLED.search(said):
                raise CommitLost from caught
            if MISCOUNTED in said:
                raise PublishError(f"warehouse {self.location}: {MISCOUNTED}. {UNPUBLISHED}") from caught
            if isinstance(error, TRANSIENT):
                raise CommitUncertain(self.location, reason=f"{said} (job {job_id})") from caught
            raise

    def _job(self, script: Script, job_id: str) -> bigquery.QueryJob:
        config = _config(script.parameters)
        try:
            return self.client.query(script.text, config, job_id=job_id, job_retry=None, **self._place, **self._asked)
        except exceptions.Conflict:  # it had arrived, only the answer had not
            found = self.client.get_job(job_id, **self._place, **self._asked)
            if not isinstance(found, bigquery.QueryJob):
                raise
            return found

    def columns(self, table: str) -> dict[str, str]:
        """Return the columns of a table or view with their types, in order; empty when there is none."""
        try:
            found = self.client.get_table(self.dataset.path(table), **self._asked)
        except exceptions.NotFound:
            return {}
        return {field.name: listed(field.field_type, field.mode) for field in found.schema}

    def tables(self) -> list[str]:
        """Return the names of all tables and views but those of publications that are going on, sorted."""
        found = self.client.list_tables(f"{self.dataset.project}.{self.dataset.name}", **self._asked)
        return sorted(one.table_id for one in found if not one.table_id.startswith(STAGED))

    def create(self, table: str, columns: Mapping[str, str], *, partition_column: str | None = None) -> None:
        """Create a table, unless it is there, with a partition for each day of a column."""
        made = bigquery.Table(self.dataset.path(table), schema=_schema(columns))
        if partition_column:
            made.time_partitioning = bigquery.TimePartitioning(field=partition_column)
        self.client.create_table(made, exists_ok=True, **self._asked)

    def add_columns(self, table: str, columns: Mapping[str, str]) -> None:
        """Add columns that a table lacks, in one statement: BigQuery takes few changes of a table in a short time."""
        added = ", ".join(f"ADD COLUMN IF NOT EXISTS {quoted(name)} {kind}" for name, kind in columns.items())
        self.rows(f"ALTER TABLE {self.dataset.quoted(table)} {added}")

    @contextlib.contextmanager
    def staging(self, files: Sequence[StagedFile], columns: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
        """Load files into tables of their own, by one load job each; yield their names, and drop them.

        Args:
            files: Parquet files.
            columns: Their columns.
        """
        run = uuid.uuid4().hex
        names = tuple(f"{STAGED}{run}_{place}" for place in range(min(len(files), MOST_STAGED)))
        try:
            with ThreadPoolExecutor(UPLOADS) as pool:
                list(
                    pool.map(
                        lambda place: self._fill(names[place], files[place::MOST_STAGED], columns), range(len(names))
                    )
                )
            yield names
        finally:
            for name in names:
                with contextlib.suppress(*FAILURES):
                    self.client.delete_table(self.dataset.path(name), not_found_ok=True, **self._asked)

    def _fill(self, name: str, files: Sequence[StagedFile], columns: Mapping[str, str]) -> None:
        made = bigquery.Table(self.dataset.path(name), schema=_schema(columns))
        made.expires = dt.datetime.now(dt.UTC) + STAGED_FOR
        self.client.create_table(made, **self._asked)
        for file in files:
            self._load(file, name, columns)

    def _load(self, file: StagedFile, table: str, columns: Mapping[str, str]) -> None:
        """Load a file, and again where BigQuery was asked for too much at once: a job that fails loads nothing."""
        refused: exceptions.GoogleAPICallError | None = None
        for _ in Patience(self.wait_s).attempts(f"load jobs of warehouse {self.location}"):
            try:
                self._load_job(file, table, columns)
            except exceptions.BadRequest as error:  # what it says may quote a value of a row
                raise PublishError(
                    f"warehouse {self.location}: BigQuery does not take the staged file {file.path.name}; its load job "
                    f"into {table} says why. {UNPUBLISHED}"
                ) from error
            except (exceptions.Forbidden, exceptions.TooManyRequests) as error:
                if not reasons(error) & TOO_FAST:
                    raise
                refused = error
            else:
                return
        raise refused or CommitLost

    def _load_job(self, file: StagedFile, table: str, columns: Mapping[str, str]) -> None:
        lists = bigquery.ParquetOptions()  # type: ignore[no-untyped-call]
        lists.enable_list_inference = True
        config = bigquery.LoadJobConfig(
            source_format=bigquery.SourceFormat.PARQUET,
            write_disposition=bigquery.WriteDisposition.WRITE_APPEND,
            create_disposition=bigquery.CreateDisposition.CREATE_NEVER,
            parquet_options=lists,
            schema=_schema(columns),
        )
        with file.path.open("rb") as content:
            job = self.client.load_table_from_file(
                content, self.dataset.path(table), num_retries=UPLOAD_TRIES, job_config=config, **self._place
            )
        job.result(**self._patient)


@contextlib.contextmanager
def opened(location: str, *, wait_s: float, consequence: str = UNPUBLISHED) -> Iterator[BigQuerySession]:
    """Open a session, and turn what the client raises into errors of ours.

    Args:
        location: Project and dataset, perhaps the region.
        wait_s: How long a request is repeated that gets no answer, in seconds.
        consequence: What a failure means, for its message.

    Raises:
        WarehouseBusy: It does not answer, or a quota is used up.
        PublishError: No credentials, no dataset, no permission, or anything else that fails.
    """
    try:
        dataset = Dataset.parsed(location)
        with contextlib.closing(connect(dataset)) as client:
            there = _there(client, dataset, wait_s=wait_s)
            region = str(there.location) if there else None
            if there is None or region is None or region.lower() != (dataset.region or region).lower():
                raise dataset_missing(location, region=region, consequence=consequence)
            placed = Dataset(dataset.project, dataset.name, region)
            expiring = bool(there.default_table_expiration_ms or there.default_partition_expiration_ms)
            yield BigQuerySession(client, placed, location, wait_s, expiring=expiring)
    except FAILURES as error:
        raise translated(error, location=location, consequence=consequence) from error


def _there(client: bigquery.Client, dataset: Dataset, *, wait_s: float) -> bigquery.Dataset | None:
    """Return what BigQuery says of a dataset; `None` when there is none."""
    asked: dict[str, Any] = {"retry": _retry(wait_s), "timeout": ANSWER_S}
    try:
        return client.get_dataset(f"{dataset.project}.{dataset.name}", **asked)
    except exceptions.NotFound:
        return None


def _retry(wait_s: float) -> Retry:
    return DEFAULT_RETRY.with_timeout(max(wait_s, 1.0))


def _config(parameters: Mapping[str, object]) -> bigquery.QueryJobConfig:
    typed = [
        bigquery.ScalarQueryParameter(f"p_{name}", PARAMETER_TYPES[name], value)  # type: ignore[arg-type]
        for name, value in parameters.items()
    ]
    return bigquery.QueryJobConfig(query_parameters=typed, use_query_cache=False)


def _schema(columns: Mapping[str, str]) -> list[bigquery.SchemaField]:
    return [
        bigquery.SchemaField(
            name, kind.removeprefix("ARRAY<").rstrip(">"), mode="REPEATED" if kind.startswith("ARRAY<") else "NULLABLE"
        )
        for name, kind in columns.items()
    ]
