"""`lockstep parity replay`: would the batch score what the endpoint answered, to the bit?"""

import contextlib
import datetime as dt
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lockstep.cli.completion import complete_specs
from lockstep.cli.console import Console
from lockstep.cli.examples import examples
from lockstep.cli.options import AsJson, SparkProfiles, loaded_spec, spark_settings
from lockstep.errors import RegistryError
from lockstep.run.exit_codes import PARITY_DIFFERS
from lockstep.run.partition import parse_partition

if TYPE_CHECKING:
    from lockstep.run.folder import RunFolder
    from lockstep.serving.inference_log.comparison import ReplayReport
    from lockstep.serving.inference_log.replay import Replay
    from lockstep.specs.settings import Settings

EXAMPLES = examples(
    "lockstep parity replay --date 2026-11-05 --sample 10000",
)
TIMEOUT_S = 3600


def command(
    *,
    log: Annotated[
        Path | None, typer.Option(help="Folder of the log, or of a part; default: inference_log below LOCKSTEP_HOME.")
    ] = None,
    spec: Annotated[
        str | None, typer.Option(help="Only rows of this spec's model.", autocompletion=complete_specs)
    ] = None,
    date: Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="Only rows of this day, in UTC.")] = None,
    sample: Annotated[int | None, typer.Option(min=1, help="Only so many rows, drawn by chance.")] = None,
    profile: SparkProfiles = None,
    as_json: AsJson = False,
) -> None:
    """Score the rows of an inference log again through Spark, and compare with what was answered, bit for bit.

    Each row is scored with the exact version and digest that answered it; nothing is published, and no warehouse is
    asked. Rows of which an input was redacted cannot be scored again: they are counted. Exit code 10 when any row
    differs.
    """
    from lockstep.serving.inference_log.comparison import ReplayReport
    from lockstep.serving.inference_log.reading import find_files, grouped
    from lockstep.serving.inference_log.replay import draw, prepare

    clock, where = time.monotonic(), spark_settings(profile)
    root = (log or where.home / "inference_log").absolute()
    wanted = loaded_spec(spec).spec if spec is not None else None
    day = None if date is None else parse_partition(date)
    console = Console(machine=as_json)
    console.title(f"parity replay {root}")
    files = find_files(root, model=wanted.model.name if wanted is not None else None, day=day)
    report = ReplayReport(str(root), files=len(files), rows_logged=sum(file.rows for file in files))
    groups = [group for group in grouped(files) if report.admits(group)]
    drawn = draw([file for group in groups for file in group.files], sample)
    timeout_s = wanted.limits.timeout_s if wanted is not None else TIMEOUT_S
    with _scratch(where, report, console) as own:
        for number, group in enumerate(groups):
            if any(len(drawn[file.path]) for file in group.files):
                folder = own.home / f"group-{number}"
                replay = prepare(group, drawn, folder, day=dt.datetime.now(dt.UTC).date(), timeout_s=timeout_s)
                _replay(replay, own, report, console=console)
    report.seconds = time.monotonic() - clock
    if not as_json:
        _tell(report, console)
    console.result(report.to_json())
    report.require_answer()
    if not report.equal:
        raise typer.Exit(PARITY_DIFFERS)


def _replay(replay: "Replay", where: "Settings", report: "ReplayReport", *, console: Console) -> None:
    """Score the rows of one artifact and compare them."""
    from lockstep.serving.inference_log.comparison import compare

    try:
        folder = _scored(replay, where, console)
    except RegistryError as error:
        if error.retryable:
            raise
        report.leave_out(str(error), replay.logged.num_rows)
        return
    with console.step("compare") as done:
        compare(replay, folder, report)
        done(f"{replay.logged.num_rows:,} rows of {replay.layout.title}")


def _scored(replay: "Replay", where: "Settings", console: Console) -> "RunFolder":
    from lockstep.steps.materialize import materialize, score
    from lockstep.steps.plan import Pinned, plan_run

    layout = replay.layout
    with console.step("plan") as done:
        pinned = Pinned(layout.model_version, layout.model_digest)
        folder = plan_run(replay.loaded, replay.day, where, pinned=pinned).folder
        done(f"{layout.title}, digest {layout.model_digest}")
    with console.step("score") as done:
        materialize(folder, where)
        facts = score(folder, where, progress=lambda now: console.progress(now.rows, now.total, now.line()))
        done(f"{facts['rows_scored']:,} rows scored on {facts['device']}")
    return folder


@contextlib.contextmanager
def _scratch(where: "Settings", report: "ReplayReport", console: Console) -> Iterator["Settings"]:
    """Give settings under which a run touches nothing but a folder of its own, kept when something differs or fails."""
    parent = where.home / "replays"
    parent.mkdir(parents=True, exist_ok=True)
    home = Path(tempfile.mkdtemp(dir=parent))
    warehouses = {**where.warehouses, "duckdb": str(home / "ledger.duckdb")}
    try:
        yield replace(where, home=home, runs_root=home / "runs", warehouses=warehouses)
    except BaseException:
        console.note(f"  what was made of the rows is in {home}")
        raise
    if report.equal:
        shutil.rmtree(home)
    else:
        console.note(f"  what was made of the rows is in {home}")


def _tell(report: "ReplayReport", console: Console) -> None:
    for arm in report.arms:
        of = f", arm {arm.arm}" if arm.arm else ""
        devices = f"{', '.join(arm.devices)}; batch on {', '.join(arm.batch_devices)}"
        console.note(f"  {arm.model} version {arm.version}{of} ({devices})")
        console.note(f"    rows compared       {arm.rows:,} ({arm.without_score:,} without a score on both sides)")
        console.note(f"    differing rows      {arm.differing_rows:,}")
        console.note(f"    max abs difference  {arm.max_abs_difference!r}")
    for why, rows in report.not_replayable.items():
        console.note(f"  not replayable: {rows:,} rows of {why}")
    for each in report.examples:
        row = f"request {each.request_id} row {each.row} (log_id {each.log_id})"
        console.note(f"    {row}: {each.output} logged {each.logged!r}, batch {each.batch!r}")
    if not report.rows_logged:
        console.note("nothing is logged there yet")
    elif report.rows_compared:
        console.note("equal in every bit" if report.equal else "NOT EQUAL")
