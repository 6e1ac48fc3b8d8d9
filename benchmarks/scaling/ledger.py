"""The ledger with ever more partitions (days): what a run asks of it, in DuckDB and in PostgreSQL, and retention.

The first day is claimed and published by Lockstep; the entries, claims, rows and run folders of all other days are
copies of its own, each with its day. Then one day in the middle is planned and published again and again.
"""

import datetime as dt
import os
import shutil
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lockstep.publish.contract import Publication, PublishRequest
from lockstep.publish.live import live_publication
from lockstep.publish.sql import ledger
from lockstep.publish.sql.session import SqlSession, quoted
from lockstep.publish.sql.warehouse import SqlWarehouse
from lockstep.run.folder import PLAN, RunFolder
from lockstep.steps.drift_references import earlier_publications, earlier_runs
from lockstep.steps.request import publish_request, warehouse_of
from lockstep.upkeep.retention import vacuum
from tests.publish.postgres_server import running
from tests.unit.steps import runs

ROUNDS = 7
FIRST = dt.date(1990, 1, 1)
KEY = "0123456789abcdef"


def measured(partitions: Sequence[int], scratch: Path) -> Iterable[dict[str, Any]]:
    """Measure both warehouses with as many partitions, one after the other."""
    if not partitions:
        return
    shutil.rmtree(scratch, ignore_errors=True)
    (scratch / "postgres").mkdir(parents=True)
    yield from _warehouse("duckdb", scratch / "duckdb", partitions)
    with running(scratch / "postgres") as server:
        os.environ["PGPASSWORD"] = server.cluster.password
        os.environ["LOCKSTEP_POSTGRESQL"] = server.create("bench")
        yield from _warehouse("postgresql", scratch / "postgresql", partitions)


def _warehouse(kind: str, root: Path, partitions: Sequence[int]) -> Iterable[dict[str, Any]]:
    publish = {"table": "parcel_scores", "warehouse": kind}
    folder = runs.pass_audit(runs.make_run(root, publish=publish, reporting={}))
    settings = runs.make_settings(root)
    plan = folder.plan(step="bench")
    warehouse = warehouse_of(plan, settings)
    if not isinstance(warehouse, SqlWarehouse):
        raise TypeError(f"{kind} is no SQL warehouse")
    request = publish_request(folder, settings, now=plan.planned_at)
    first, known = warehouse.publish(request), 0
    for count in sorted(partitions):
        with warehouse.engine.transaction() as session:
            session.begin()
            _fill(session, first, request, days=range(known, count))
        _run_folders(folder, settings.runs_root / plan.spec.name, days=range(known, count))
        known = count
        late = plan.model_copy(update={"partition": _day(count)})
        for name, work in _questions(warehouse, request, late, day=_day(count // 2)).items():
            yield {"step": f"{kind} {name}", "size": count, "seconds": round(_median(work), 5)}
        now = dt.datetime.now(dt.UTC) + dt.timedelta(days=1000)
        clock = time.perf_counter()
        dropped = vacuum(warehouse, plan.spec, settings.runs_root, now=now, dry_run=True)
        seconds = round(time.perf_counter() - clock, 5)
        yield {"step": f"{kind} retention", "size": count, "seconds": seconds, "kept": dropped.kept}


def _questions(
    warehouse: SqlWarehouse, request: PublishRequest, late: Any, *, day: dt.date
) -> dict[str, Callable[[], Any]]:
    """Return what steps and DAGs ask, by name; publishing replaces a day of the table."""
    table, number = request.table, iter(range(10**6))

    def claim() -> int:
        return warehouse.claim(table, partition=day, run_key=f"{KEY}-{next(number)}", now=request.now).token

    def publish() -> Publication:
        key = f"{KEY}-p{next(number)}"
        token = warehouse.claim(table, partition=request.partition, run_key=key, now=request.now).token
        return warehouse.publish(replace(request, run_key=key, token=token))

    def earlier() -> list[RunFolder]:
        return earlier_runs(late, earlier_publications(late, wait_s=5))

    return {
        "claim": claim,
        "live": lambda: warehouse.live(table, day),
        "history": lambda: warehouse.history(table),
        "newest live": lambda: live_publication(warehouse, table, None),
        "earlier runs": earlier,
        "claim and publish": publish,
        "lineage": lambda: warehouse.read_table(ledger.LINEAGE, limit=None),
    }


def _fill(session: SqlSession, first: Publication, request: PublishRequest, *, days: range) -> None:
    """Put entries, claims and rows of days into the warehouse, as their publications would have left them."""
    names = [name for name in session.columns(request.table) if name != request.partition_column]
    others = ", ".join(map(quoted, names))
    table, day_column = quoted(request.table), quoted(request.partition_column)
    entry = int(session.rows(f"SELECT max(entry) FROM {ledger.LEDGER}")[0][0])  # noqa: S608 - constants
    marks = ", ".join("?" for _ in range(len(ledger.COLUMNS) + 1))
    for number in days:
        day, key = _day(number), f"{KEY}{number:08d}"
        folder = str(Path(first.run_folder).parents[1] / day.isoformat() / key)
        made = first.model_copy(update={"partition": day, "run_key": key, "run_folder": folder})
        facts = [ledger.stored(made, name) for _, _, name in ledger.COLUMNS]
        session.rows(f"INSERT INTO {ledger.LEDGER} VALUES ({marks})", [entry + 1 + number, *facts])  # noqa: S608
        session.rows(f"INSERT INTO {ledger.CLAIMS} VALUES (?, ?, 1, ?, ?)", [request.table, day, key, request.now])  # noqa: S608
    session.rows(
        f"INSERT INTO {table} ({day_column}, {others}) "  # noqa: S608 - quoted
        f"SELECT partition_date, {others} FROM {table} CROSS JOIN "
        f"(SELECT partition_date FROM {ledger.CLAIMS} WHERE partition_date BETWEEN ? AND ?) AS days "
        f"WHERE {day_column} = ?",
        [_day(days[0]), _day(days[-1]), request.partition],
    )


def _run_folders(folder: RunFolder, runs_of_spec: Any, *, days: range) -> None:
    text = folder.file(PLAN).read_text()
    key = folder.plan(step="bench").run_key
    for number in days:
        made = RunFolder(runs_of_spec / _day(number).isoformat() / f"{KEY}{number:08d}")
        made.folder()
        Path(str(made.file(PLAN))).write_text(text.replace(key, f"{KEY}{number:08d}"))


def _day(number: int) -> dt.date:
    return FIRST + dt.timedelta(number)


def _median(work: Callable[[], Any]) -> float:
    times = []
    for _ in range(ROUNDS):
        clock = time.perf_counter()
        work()
        times.append(time.perf_counter() - clock)
    return statistics.median(times)
