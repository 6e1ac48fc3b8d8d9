"""`lockstep parity`: is the endpoint's answer the batch's score, in every bit?

`lockstep parity SPEC --date D` asks an endpoint for the rows of a batch; `lockstep parity replay` asks the batch for
the rows that an endpoint answered.
"""

import contextlib
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from lockstep.cli import replay
from lockstep.cli.console import Console
from lockstep.cli.examples import examples
from lockstep.cli.options import AsJson, ModelVersion, SpecName, loaded_spec, settings
from lockstep.errors import DateInvalid
from lockstep.run.exit_codes import PARITY_DIFFERS
from lockstep.run.folder import MANIFEST, RunFolder
from lockstep.run.partition import parse_partition

if TYPE_CHECKING:
    import datetime as dt

    from lockstep.serving.batch_scores import BatchScores
    from lockstep.serving.parity import ParityReport
    from lockstep.specs.loading import LoadedSpec
    from lockstep.specs.settings import Settings

EXAMPLES = examples(
    "lockstep parity flight_delay --date 2013-08-01",
    "lockstep parity flight_delay --published --rows 1000 --json",
)
REPLAY = "replay"
OF_SPEC = "of-spec"  # no name of a spec


class OfSpecOrReplay(TyperGroup):
    """Takes everything but the word `replay` for the arguments of `lockstep parity SPEC`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Name the command that the arguments leave out."""
        rest: list[str] = super().parse_args(ctx, args if args[:1] == [REPLAY] else [OF_SPEC, *args])
        return rest

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command, whose name is not shown if it is left out."""
        name, found, rest = super().resolve_command(ctx, args)
        return ("" if name == OF_SPEC else name), found, rest


app = typer.Typer(cls=OfSpecOrReplay)
app.command(REPLAY, epilog=replay.EXAMPLES)(replay.command)


@app.command(OF_SPEC, epilog=EXAMPLES)
def command(
    name: SpecName,
    *,
    date: Annotated[
        str | None, typer.Option(metavar="YYYY-MM-DD", help="Partition to compare; with --published, else the latest.")
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="A running endpoint, such as http://127.0.0.1:8080; without it, one of its own.")
    ] = None,
    model_version: ModelVersion = None,
    published: Annotated[
        bool, typer.Option("--published", help="Compare what is live, with the version that made it; score nothing.")
    ] = False,
    rows: Annotated[int | None, typer.Option(min=1, help="Only so many rows, drawn by chance.")] = None,
    as_json: AsJson = False,
) -> None:
    """Score one day through Spark and through the endpoint, and compare bit for bit.

    The batch side is the run of that day as `lockstep run` makes it (a finished one is reused), without publishing;
    with --published it is the run whose rows are live. The endpoint side is HTTP in both protocols, in requests of 1,
    7, 64 and 1,000 rows, in order and shuffled. Exit code 10 when any row differs. See also `lockstep parity replay`.
    """
    if date is None and not published:
        raise typer.BadParameter("give --date, or --published for the latest day that is live")
    if published and model_version is not None:
        raise typer.BadParameter("--published compares with the version that made the rows; leave out --model-version")
    day, loaded, where = None if date is None else parse_partition(date), loaded_spec(name), settings()
    console = Console(machine=as_json)
    console.title(f"parity {name} {day or 'latest published day'}")
    folder = (
        _live_run(loaded, day, where, console=console)
        if published or day is None
        else _scored_run(loaded, day, where, version=model_version, console=console)
    )
    if folder is None:
        console.note(f"nothing of {loaded.spec.publish.table} is live, so there is nothing to compare")
        console.result({"spec": name, "partition": None, "rows": 0})
        return

    from lockstep.serving.batch_scores import read_batch, sampled
    from lockstep.serving.local_endpoint import local_endpoint

    batch = read_batch(folder)
    partition = parse_partition(batch.partition)
    batch = batch if rows is None else sampled(batch, rows, seed=partition.toordinal())
    with contextlib.ExitStack() as stack:
        if url is None:
            with console.step("endpoint") as done:
                log = folder.draft("logs/parity-endpoint.log")
                started = local_endpoint(name, where, version=batch.model.version, log=log)
                url = stack.enter_context(started)
                done(f"model version {batch.model.version} on {url}")
        report = _compare(batch, url, console)
    facts = {"spec": name, "partition": batch.partition, "run_folder": str(folder.path), **report.to_json()}
    if not as_json:
        _tell(report, console)
    console.result(facts)
    if not report.equal:
        raise typer.Exit(PARITY_DIFFERS)


def _live_run(loaded: "LoadedSpec", day: "dt.date | None", where: "Settings", *, console: Console) -> RunFolder | None:
    """Return the run whose rows are live; none when none are and nobody named a day."""
    from lockstep.publish.live import live_publication
    from lockstep.publish.warehouse import open_warehouse
    from lockstep.serving.parity import require_comparable

    publish = loaded.spec.publish
    warehouse = open_warehouse(publish.warehouse, where.warehouse(publish.warehouse), wait_s=where.warehouse_wait_s)
    live = live_publication(warehouse, publish.table, day)
    if live is None:
        if day is not None:
            advice = f"see `lockstep history {publish.table}` for the days that are"
            raise DateInvalid(day.isoformat(), problem=f"has no live rows in {publish.table}", advice=advice)
        return None
    folder = RunFolder.at(live.run_folder)
    require_comparable(folder.plan(step="parity").model)
    console.note(f"  live on {live.partition}: run {live.run_key}, model version {live.model_version}")
    return folder


def _scored_run(
    loaded: "LoadedSpec", day: "dt.date", where: "Settings", *, version: int | None, console: Console
) -> RunFolder:
    """Return the scored run of the day; one that is finished is only read."""
    from lockstep.serving.parity import require_comparable
    from lockstep.steps.materialize import materialize, score
    from lockstep.steps.plan import Pinned, plan_run

    with console.step("plan") as done:
        outcome = plan_run(loaded, day, where, pinned=Pinned(version), dry_run=True)
        require_comparable(outcome.plan.model)
        if not outcome.folder.has(MANIFEST):
            outcome = plan_run(loaded, day, where, pinned=Pinned(version))
        done(f"model version {outcome.plan.model.version}, run key {outcome.plan.run_key}")
    with console.step("materialize") as done:
        facts = materialize(outcome.folder, where)
        done(f"{facts['rows']:,} rows" + (", reused" if facts["reused"] else ""))
    with console.step("score") as done:
        facts = score(outcome.folder, where, progress=lambda now: console.progress(now.rows, now.total, now.line()))
        done(f"{facts['rows_scored']:,} rows scored" + (", reused" if facts["reused"] else ""))
    return outcome.folder


def _compare(batch: "BatchScores", url: str, console: Console) -> "ParityReport":
    from lockstep.serving.client import EndpointClient
    from lockstep.serving.parity import compare

    output = batch.model.outputs[0].name
    client = EndpointClient(url, batch.model.name, inputs=batch.model.inputs, output=output)
    with contextlib.closing(client), console.step("compare") as done:
        report = compare(batch, client, url=url, progress=console.progress)
        done(f"{report.requests:,} requests, {report.answers:,} answers")
    return report


def _tell(report: "ParityReport", console: Console) -> None:
    console.note(f"  batch     {report.model}")
    console.note(f"  endpoint  {report.endpoint}")
    console.note(f"  rows compared       {report.rows - report.quarantined:,} ({report.answers:,} answers)")
    console.note(f"  quarantined rows    {report.quarantined:,} (the endpoint must refuse them too)")
    console.note(f"  differing rows      {len(report.differing):,}")
    console.note(f"  max abs difference  {report.max_abs_difference!r}")
    for example in report.examples:
        sent = f"{example.sent.encoding}, {example.sent.rows_per_request} rows per request"
        answer = example.error or repr(example.endpoint)
        console.note(f"    {example.key}: batch {example.batch!r}, endpoint {answer} ({sent})")
    console.note("equal in every bit" if report.equal else "NOT EQUAL")
