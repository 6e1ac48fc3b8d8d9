"""What goes wrong between Lockstep and BigQuery, done to the emulator or to the line."""

from collections.abc import Callable
from typing import Any

import pytest
import requests
from bqemulator.api.routes import jobs, upload

from lockstep.publish.bigquery.script import Script
from lockstep.publish.bigquery.session import BigQuerySession

LOST = "Transaction is aborted due to concurrent update against table emulated:w.lockstep_lock_ledger"


def on_server(monkeypatch: pytest.MonkeyPatch, error: Exception, *, times: int, part: str) -> list[str]:
    """Let the emulator fail jobs whose statement has a part, so many times; return a list that grows by each."""
    execute, failed = jobs.execute_query_job, list[str]()

    async def failing(project: str, job: str, sql: str, *rest: Any, **named: Any) -> Any:
        if part in sql and len(failed) < times:
            failed.append(job)
            raise error
        return await execute(project, job, sql, *rest, **named)

    monkeypatch.setattr(jobs, "execute_query_job", failing)
    return failed


def before_the_script(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Do something once between what a publication looks at and its script."""
    run, left = BigQuerySession.run, [act]

    def after(session: BigQuerySession, script: Script, *, attempt: int) -> None:
        if left:
            left.pop()()
        run(session, script, attempt=attempt)

    monkeypatch.setattr(BigQuerySession, "run", after)


def cut_after(monkeypatch: pytest.MonkeyPatch, *, times: int) -> list[str]:
    """Break the line after the server has run a script, before its answer comes; so many times."""
    request, cut = requests.Session.request, list[str]()

    def cutting(self: requests.Session, method: str, url: str, *args: Any, **named: Any) -> requests.Response:
        answer = request(self, method, url, *args, **named)
        if "DELETE FROM" in str(named.get("data")) and len(cut) < times:
            cut.append(url)
            raise requests.exceptions.ConnectionError("the line broke")
        return answer

    monkeypatch.setattr(requests.Session, "request", cutting)
    return cut


def failing_loads(monkeypatch: pytest.MonkeyPatch, *, reason: str, times: int) -> list[str]:
    """Let load jobs fail on the server, having loaded nothing; return a list that grows by each."""
    load, run, failed = upload.execute_load_job, upload._run_load, list[str]()

    async def failing(project: str, job: str, *rest: Any) -> Any:
        if len(failed) < times:
            failed.append(job)
            raise ValueError("Could not parse 'hunter2'")
        return await load(project, job, *rest)

    async def told(**named: Any) -> Any:
        job, meta = await run(**named)
        if meta.error_result:
            meta = meta.model_copy(update={"error_result": {**meta.error_result, "reason": reason}})
            named["ctx"].catalog.upsert_job(meta)
        return job, meta

    monkeypatch.setattr(upload, "execute_load_job", failing)
    monkeypatch.setattr(upload, "_run_load", told)
    return failed
