"""`lockstep check`: try a spec on a sample of a day, and say what to fix."""

import datetime as dt
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from lockstep.cli.console import Console
from lockstep.cli.examples import examples
from lockstep.cli.options import AsJson, SparkProfiles, SpecName, spark_settings
from lockstep.errors import DateInvalid
from lockstep.run.partition import parse_partition
from lockstep.specs.loading import LoadedSpec, find_spec
from lockstep.specs.settings import Settings

EXAMPLES = examples(
    "lockstep check flight_delay --date 2013-08-01",
    "lockstep check flight_delay --date 2013-08-01 --rows 20000",
    "lockstep check flight_delay --date 2013-08-01 --no-endpoint --json",
)


def command(
    name: SpecName,
    *,
    date: Annotated[
        str | None, typer.Option(metavar="YYYY-MM-DD", help="Day to look at; without it, the last one of the table.")
    ] = None,
    rows: Annotated[int, typer.Option(min=1, help="Rows of the sample.")] = 2_000,
    endpoint: Annotated[
        bool, typer.Option("--endpoint/--no-endpoint", help="Start an endpoint and ask it too.")
    ] = True,
    profile: SparkProfiles = None,
    as_json: AsJson = False,
) -> None:
    """Try a spec on a sample of a day: types, checks, parity, speed. Nothing is published, claimed or kept.

    The sample is scored as a Spark worker scores it, and compared with MLflow's own predict and with an endpoint. Each
    line that is not ok says what to do. Exit code 0 when a run would go well, else that which the run would end with.
    """
    from lockstep.checkup.checkup import Checkup
    from lockstep.checkup.findings import Finding, worst

    where, console = spark_settings(profile), Console(machine=as_json)
    loaded = find_spec(where.models_root, name)
    day = parse_partition(date) if date else _last_day(loaded, where)
    console.title(f"check {name} {day}")
    findings: list[Finding] = []
    with tempfile.TemporaryDirectory(prefix="lockstep-check-") as scratch:
        checkup = Checkup(loaded, day, where, Path(scratch), rows=rows, endpoint=endpoint)
        for part, look in checkup.parts():
            with console.finding(part) as told:
                began = time.monotonic()
                found = look()
                told(found.state, found.text, found.to_do)
            findings.append(found)
            found.facts["seconds"] = round(time.monotonic() - began, 3)
    code = worst(findings)
    if as_json:
        facts: dict[str, Any] = {"spec": name, "partition": day.isoformat(), "ok": not code}
        console.result({**facts, "exit_code": code, "parts": [each.to_json() for each in findings]})
    elif not code:
        console.note(f"A run would go well: lockstep run {name} --date {day}")
    if code:
        raise typer.Exit(code)


def _last_day(loaded: LoadedSpec, where: Settings) -> dt.date:
    """Return the last day that the input table has."""
    from lockstep.scaffold.tables import inspect_table

    table, column = loaded.spec.input.table, loaded.spec.partition.column
    if table is None:
        raise DateInvalid("", problem="is needed", advice="the input is a query: name the day by --date YYYY-MM-DD")
    if table.whole:
        return dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)
    days = inspect_table(table, data_root=where.data_root).days
    last = next((day.last for day in days if day.name == column), None)
    if last is None:
        raise DateInvalid("", problem="is needed", advice="the table's metadata names no day: give --date YYYY-MM-DD")
    return last
