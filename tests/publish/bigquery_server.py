"""BigQuery's interface on this machine: bqemulator, over DuckDB, spoken to by Google's own client."""

import asyncio
import contextvars
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pytest
import requests

PROJECT = "emulated"
ASKED: contextvars.ContextVar[list[dict[str, Any]] | None] = contextvars.ContextVar("asked", default=None)


class BigQueryEmulator:
    """A server on a loopback port."""

    def __init__(self, url: str) -> None:
        self.url = url

    def create(self, name: str) -> str:
        """Make an empty dataset; return the location of a warehouse in it."""
        reference = {"projectId": PROJECT, "datasetId": name}
        made = requests.post(
            f"{self.url}/bigquery/v2/projects/{PROJECT}/datasets",
            json={"datasetReference": reference, "location": "EU"},
            timeout=60,
        )
        made.raise_for_status()
        return f"{PROJECT}/{name}"


@contextmanager
def emulating_bigquery() -> Iterator[BigQueryEmulator]:
    """Start the emulator in a thread, and tell Google's client of it as users do.

    Mended: it would download an extension of DuckDB's for geography, it ignores the parameters of scripts, it takes
    RAISE for a failure of its own, and it runs a job again that it knows. It would take over the logging of the
    process. And it keeps the answer to every job: of DuckDB's, one row takes a hundred megabytes of address space, so
    after some hundred jobs the process could no longer fork.
    """
    from bqemulator.config import Settings
    from bqemulator.server import EmulatorServer

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    with pytest.MonkeyPatch.context() as patch:
        _mend(patch)
        quiet: dict[str, Any] = {"log_level": "critical", "metrics_enabled": False, "enable_format_extensions": False}
        server = EmulatorServer(Settings(rest_port=0, grpc_port=0, **quiet))
        thread.start()
        asyncio.run_coroutine_threadsafe(server.start(), loop).result(60)
        patch.setenv("BIGQUERY_EMULATOR_HOST", server.rest_url)
        try:
            yield BigQueryEmulator(server.rest_url)
        finally:
            asyncio.run_coroutine_threadsafe(server.stop(), loop).result(60)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(60)
            loop.close()


def _mend(patch: pytest.MonkeyPatch) -> None:
    import structlog
    from bqemulator import server
    from bqemulator.api.routes import jobs
    from bqemulator.domain.errors import InvalidQueryError
    from bqemulator.scripting import interpreter
    from bqemulator.scripting.exceptions import ScriptRaise
    from bqemulator.storage.engine import DuckDBEngine
    from fastapi import HTTPException

    execute, bind, fetch = jobs.execute_query_job, interpreter.bind_parameters, DuckDBEngine.fetch_arrow

    async def remembering(project: str, job: str, sql: str, asked: Any, context: Any, **rest: Any) -> Any:
        if context.catalog.get_job(project, job) is not None:
            raise HTTPException(409, detail=f"Already Exists: Job {project}:{job}")
        ASKED.set(asked)
        try:
            return await execute(project, job, sql, asked, context, **rest)
        except ScriptRaise as error:
            raise InvalidQueryError(f"Query error: {error} at [3:3]") from error

    def compact(engine: Any, *query: Any) -> Any:
        found = fetch(engine, *query)
        return found.take(pa.array(range(found.num_rows), pa.int64()))

    silent = structlog.make_filtering_bound_logger(logging.CRITICAL)
    patch.setattr(server, "configure_logging", lambda **asked: structlog.configure(wrapper_class=silent))
    patch.setattr(DuckDBEngine, "_load_spatial", lambda engine: None)
    patch.setattr(DuckDBEngine, "fetch_arrow", compact)
    patch.setattr(jobs, "execute_query_job", remembering)
    patch.setattr(interpreter, "bind_parameters", lambda sql, none: bind(sql, ASKED.get()))
