"""The last part of the demo: what was published, what the endpoint says, where to look next."""

import random

from lockstep.demo.backfill import Days
from lockstep.demo.story import Story
from lockstep.publish.contract import Warehouse
from lockstep.publish.warehouse import open_warehouse
from lockstep.run.folder import PUBLICATION, REPORT, RunFolder
from lockstep.run.partition import days_between
from lockstep.services.errors import CommandFailed
from lockstep.specs.settings import Settings
from lockstep.specs.spec import ScoringSpec
from lockstep.storage.files import Location
from lockstep.storage.files import found as found_below

ENCODING = "dataframe_split"
SAMPLE_ROWS = 5
TABLE_ROWS = 8
LINEAGE = "model_lineage"


def show_tables(spec: ScoringSpec, settings: Settings, story: Story) -> None:
    """Print the reporting tables and which model made which day."""
    warehouse = open_warehouse(
        spec.publish.warehouse, settings.warehouse(spec.publish.warehouse), wait_s=settings.warehouse_wait_s
    )
    for name in spec.reporting:
        _show(warehouse, name, story, what="predicted risk beside what happened")
    _show(warehouse, LINEAGE, story, what="which model made which day; a day run again unchanged counts as a no-op")


def _show(warehouse: Warehouse, name: str, story: Story, *, what: str) -> None:
    columns, rows = warehouse.read_table(name, limit=TABLE_ROWS)
    if name == LINEAGE:
        wanted = ("partition_date", "model_name", "model_version", "run_key", "rows", "publications", "noops")
        places = [columns.index(column) for column in wanted if column in columns]
        columns, rows = [columns[p] for p in places], [tuple(row[p] for p in places) for row in rows]
    story.table(f"{name} (first {len(rows)} rows): {what}", columns, rows)


def published_runs(spec: ScoringSpec, settings: Settings, days: Days) -> dict[str, RunFolder]:
    """Return the newest published run folder of each day."""
    found = {}
    for day in days_between(days.first, days.last):
        records = found_below(settings.runs_root / spec.name / day.isoformat(), f"*/{PUBLICATION}")
        newest = max(records, key=lambda record: record.stat().st_mtime, default=None)
        if newest is not None:
            found[day.isoformat()] = RunFolder(newest.parent)
    return found


def compare_with_endpoint(url: str, runs: dict[str, RunFolder], story: Story) -> str:
    """Ask the endpoint about some rows of a run of its model, and print its answers beside the published scores.

    Raises:
        CommandFailed: An answer is not the batch's score in every bit.
    """
    from lockstep.serving.batch_scores import read_batch
    from lockstep.serving.client import EndpointClient

    plans = {day: folder.plan(step="demo") for day, folder in runs.items()}
    first = next(iter(plans.values()))
    client = EndpointClient(url, first.model.name, inputs=first.model.inputs, output=first.spec.output.column)
    digest = client.served().digest
    day = next((day for day, plan in plans.items() if plan.model.digest == digest), None)
    if day is None:
        return "none of these days was scored by the version that is served; nothing to compare"
    batch = read_batch(runs[day])
    rows = sorted(random.Random(2013).sample(range(len(batch.keys)), min(SAMPLE_ROWS, len(batch.keys))))
    reply = client.score(batch.features.take(rows).to_pydict(), encoding=ENCODING)
    expected = [float(batch.scores[row]) for row in rows]
    same = [a == b for a, b in zip(expected, reply.scores, strict=True)]
    shown = [
        (" ".join(str(part) for part in batch.keys[row]), repr(score), repr(answer), "equal" if equal else "DIFFERS")
        for row, score, answer, equal in zip(rows, expected, reply.scores, same, strict=True)
    ]
    story.table(f"POST {url}/invocations", ["flight", "batch (published)", "endpoint", "bits"], shown)
    if not all(same):
        raise CommandFailed("the comparison of endpoint and batch", exit_code=10, tail=[str(row) for row in shown])
    return f"{len(rows)} of {len(rows)} answers equal the published scores in every bit"


def look_next(spec: ScoringSpec, runs: dict[str, RunFolder], settings: Settings, *, story: Story) -> None:
    """Say where to go from here."""
    first = next(iter(runs.values()), None)
    root = settings.project_root

    def near(path: Location) -> str:
        return str(path).removeprefix(f"{root}/")

    story.say("Where to look next:")
    if first is not None:
        story.say(f"  a run's report          {near(first.file(REPORT))}")
        story.say(f"  its data docs           {near(first.file('gx', 'gate', 'index.html'))}")
    story.say(f"  reporting tables        lockstep report table {next(iter(spec.reporting), LINEAGE)}")
    story.say(f"  every row, bit for bit  lockstep parity {spec.name} --date 2013-08-01")
    story.say("  Airflow and MLflow      make up")
    story.say(f"  your own model          {near(settings.models_root)}/{spec.name}/scoring.yaml is the example")
