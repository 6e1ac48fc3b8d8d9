"""Ten years later: flights of 2023, scored by the model of 2013 through the ordinary run, and what drifted."""

import datetime as dt
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from lockstep.demo.backfill import Days
from lockstep.demo.learning import SPEC
from lockstep.demo.story import Story
from lockstep.quality.drift import LARGE, ColumnDrift
from lockstep.quality.verdict import Verdict
from lockstep.run.folder import AUDIT, REPORT, RunFolder
from lockstep.run.partition import days_between
from lockstep.run.submit import data_python, step_env
from lockstep.services.process import Component
from lockstep.services.supervisor import Supervisor
from lockstep.specs.drift_spec import Metric, Reference
from lockstep.specs.settings import Settings
from lockstep.storage.files import Location, on_disk
from lockstep.storage.files import found as found_below

# The same days of the year, so that the season is no difference. The eighth day has a week before it.
THEN = Days(dt.date(2013, 8, 1), dt.date(2013, 8, 7))
NOW = Days(dt.date(2023, 8, 1), dt.date(2023, 8, 8))
SHOWN = 12
HEADINGS = ("column", "PSI 2013", "PSI 2023", "JS 2013", "JS 2023", "KS 2013", "KS 2023", "nulls: training", "2023")


@dataclass(frozen=True)
class ColumnFigures:
    """Medians over some days.

    Attributes:
        null_percent: Of the days, 0..100; `reference_null_percent` those of what they were compared with.
    """

    psi: float
    js: float
    ks: float | None
    null_percent: float
    reference_null_percent: float


def add_2023(settings: Settings, story: Story) -> None:
    """Add the flights of 2023 to the source tables; done once."""
    from lockstep.data.nycflights23 import ingest_2023, locate_files

    with story.step("Source data: 435,352 flights of 2023 as further days of the same tables") as tell:
        found = ingest_2023(locate_files(), out=on_disk(settings.data_root))
        verb = "already there:" if found.reused else "wrote"
        tell(f"{verb} " + ", ".join(f"{name} {rows:,} rows" for name, rows in found.rows.items()))


def score_days(supervisor: Supervisor, settings: Settings, story: Story) -> None:
    """Score both weeks by `lockstep run`; days that are live already are not scored again."""
    for days in (THEN, NOW):
        with story.step(f"`lockstep run {SPEC}`, {days.first} to {days.last}, by the model of 2013") as tell:
            span = ["--from", days.first.isoformat(), "--to", days.last.isoformat()]
            command = [str(Path(data_python(settings, os.environ))), "-m", "lockstep", "run", SPEC, *span]
            environment = {**os.environ, **step_env(settings)}
            component = Component("run", command, environment, settings.project_root)
            supervisor.run(component, what=f"scoring {days.first} to {days.last}", on_line=story.progress)
            tell(f"{days.count} days are live")


def show_drift(settings: Settings, story: Story) -> None:
    """Print how far the score and the features of both weeks lie from training, and the last day from its week."""
    then, now = (audits(settings, days) for days in (THEN, NOW))
    with story.step(f"Drift against training: medians of {len(then)} days of 2013 and {len(now)} of 2023") as tell:
        before, after = figures(then.values()), figures(now.values())
        rows = comparison(before, after)
        story.table(f"The {SHOWN} columns that lie farther off than in the same week of 2013", HEADINGS, rows[:SHOWN])
        far = sum(figure.psi - before[name].psi >= LARGE for name, figure in after.items() if name in before)
        tell(f"of {len(rows)} columns {far} have an index greater by {LARGE:g} or more")
    last = RunFolder(next(reversed(audit_files(settings, NOW).values())).parent)
    story.say(f"Where to look next: {last.file(REPORT)}")


def audit_files(settings: Settings, days: Days) -> dict[dt.date, Location]:
    """Return the newest `audit.json` of each day."""
    found = {}
    for day in days_between(days.first, days.last):
        files = found_below(settings.runs_root / SPEC / day.isoformat(), f"*/{AUDIT}")
        newest = max(files, key=lambda file: file.stat().st_mtime, default=None)
        if newest is not None:
            found[day] = newest
    return found


def audits(settings: Settings, days: Days) -> dict[dt.date, Verdict]:
    """Return the newest audit of each day."""
    return {
        day: RunFolder(file.parent).read_record(AUDIT, Verdict, step="demo")
        for day, file in audit_files(settings, days).items()
    }


def figures(verdicts: Iterable[Verdict], *, against: Reference = "training") -> dict[str, ColumnFigures]:
    """Return the medians of each column over some days."""
    by_column: dict[str, list[ColumnDrift]] = {}
    for verdict in verdicts:
        for drift in verdict.drift:
            if drift.reference == against:
                by_column.setdefault(drift.column, []).append(drift)
    return {name: _medians(found) for name, found in by_column.items()}


def comparison(then: Mapping[str, ColumnFigures], now: Mapping[str, ColumnFigures]) -> list[tuple[object, ...]]:
    """Return a row for each column, under `HEADINGS`, first those whose index grew most.

    What the earlier days have too, such as their season, is no news.
    """

    def growth(name: str) -> float:
        return now[name].psi - (then[name].psi if name in then else 0.0)

    ranked = sorted(now.items(), key=lambda item: -growth(item[0]))
    rows: list[tuple[object, ...]] = []
    for name, later in ranked:
        earlier = then.get(name)
        pairs = (("psi", later.psi), ("js", later.js), ("ks", later.ks))
        cells = [cell for metric, value in pairs for cell in (getattr(earlier, metric, None), value)]
        nulls = (f"{later.reference_null_percent:.1f} %", f"{later.null_percent:.1f} %")
        rows.append((name, *cells, *nulls))
    return rows


def _medians(found: Sequence[ColumnDrift]) -> ColumnFigures:
    def of(metric: Metric) -> float | None:
        values = [value for drift in found if (value := drift.value(metric)) is not None]
        return median(values) if values else None

    return ColumnFigures(
        psi=of("psi") or 0.0,
        js=of("js") or 0.0,
        ks=of("ks"),
        null_percent=median(drift.null_percent for drift in found),
        reference_null_percent=median(drift.baseline_null_percent for drift in found),
    )
