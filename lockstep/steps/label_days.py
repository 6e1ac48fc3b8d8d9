"""Days whose labels have come: each is measured once, and again when its rows or labels have changed."""

import datetime as dt
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow.parquet as pq

from lockstep.errors import RowsUnreadable, RunFolderUnusable, StaleRun
from lockstep.publish.contract import Publication, PublishRequest, StagedFile
from lockstep.quality.performance_table import PARTITION, PUBLISHED, PerformanceRow, table_name, to_table
from lockstep.run.identity import file_sha256
from lockstep.steps.labels import Measuring, measure_table, measurement_key
from lockstep.steps.plan import code_version

State = Literal["measured", "unchanged", "overtaken", "not published", "too early", "unreadable"]
TRIES = 3
CHANGED = "rows or labels changed while they were measured; the next run looks again"
# What the entry of a measurement says of the publication that was measured.
OF_THE_SCORES = ("partition", "spec", "spec_hash", "model_name", "model_version", "model_digest", "run_folder")


@dataclass(frozen=True)
class MeasuredDay:
    """What became of a day.

    Attributes:
        rows: Its rows of the performance table, where they were computed now.
        note: Why it was not measured.
    """

    day: dt.date
    state: State
    rows: tuple[PerformanceRow, ...] = field(default=(), repr=False)
    note: str = ""


def measure_days(
    run: Measuring, days: Sequence[dt.date], *, latest: dt.date, dry_run: bool = False
) -> Iterator[MeasuredDay]:
    """Measure days, each in a publication of its own; yield them as they are done.

    Args:
        run: What they are measured with.
        days: The days.
        latest: The last whose labels are complete; later ones are not looked at.
        dry_run: Measure, and publish nothing.

    Raises:
        InputError: The outcomes do not fit the spec, or the query fails.
        PublishError: The warehouse refused. Days that are done stay done.
    """
    for day in days:
        if day > latest:
            complete = day + dt.timedelta(days=1 + run.labels.delay_days)
            yield MeasuredDay(day, "too early", note=f"its labels are complete on {complete}")
        else:
            yield measure_day(run, day, dry_run=dry_run)


def measure_day(run: Measuring, day: dt.date, *, dry_run: bool) -> MeasuredDay:
    """Measure a day and publish the figures; a day that was measured from the same rows and labels is left alone.

    The claim comes before the look at rows and labels, and they are looked at again before the publication: of two that
    measure at once, the one that saw more wins.
    """
    table = table_name(run.spec.publish.table)
    for _ in range(TRIES):
        live, files = run.live(day), run.files(day)
        if PUBLISHED not in live:
            return MeasuredDay(day, "not published")
        key = measurement_key(run, live, files)
        before = run.warehouse.live(table, day)
        if before is not None and before.run_key == key:
            return MeasuredDay(day, "unchanged")
        now = dt.datetime.now(dt.UTC)
        token = 0 if dry_run else run.warehouse.claim(table, partition=day, run_key=key, now=now).token
        try:
            rows = tuple(row for arm in live for row in measure_table(live[arm], run, arm=arm, files=files))
        except RowsUnreadable as error:
            return MeasuredDay(day, "unreadable", note=str(error))
        if measurement_key(run, run.live(day), run.files(day)) == key:
            overtaken = not dry_run and _publish(run, live[PUBLISHED], rows, key=key, token=token) is None
            return MeasuredDay(day, "overtaken", note=CHANGED) if overtaken else MeasuredDay(day, "measured", rows)
    return MeasuredDay(day, "overtaken", note=CHANGED)


def _publish(
    run: Measuring, live: Publication, rows: Sequence[PerformanceRow], *, key: str, token: int
) -> Publication | None:
    """Publish the figures of a day; `None`: somebody who measured later was first."""
    root = run.settings.home / "labels"
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root) as folder:
            path = Path(folder) / "performance.parquet"
            pq.write_table(to_table(rows), path)
            file = StagedFile(path, size_bytes=path.stat().st_size, sha256=file_sha256(path))
            request = PublishRequest(
                **{name: getattr(live, name) for name in OF_THE_SCORES},
                table=table_name(run.spec.publish.table),
                partition_column=PARTITION,
                run_key=key,
                token=token,
                code_version=code_version(run.settings.project_root),
                files=[file],
                rows=len(rows),
                now=dt.datetime.now(dt.UTC),
                actor=run.settings.actor,
                checks=_labelled(rows),
            )
            return run.warehouse.publish(request)
    except StaleRun:
        return None
    except OSError as error:
        raise RunFolderUnusable(str(root), error.strerror or str(error)) from error


def _labelled(rows: Sequence[PerformanceRow]) -> str:
    whole = published_days(rows)
    return f"{sum(row.labelled_count for row in whole):,} of {sum(row.row_count for row in whole):,} rows labelled"


def published_days(rows: Sequence[PerformanceRow]) -> list[PerformanceRow]:
    """Return the rows about all published rows of a version and day."""
    return [row for row in rows if row.is_whole_day and row.arm == PUBLISHED]


def summary(done: Sequence[MeasuredDay], figures: Sequence[PerformanceRow]) -> dict[str, Any]:
    """Say what became of days, for machines.

    Args:
        done: The days.
        figures: What the performance table has of them now.

    Returns:
        Days by state, the days without any label, and the figures of the published rows by day and version.
    """
    states: dict[str, list[str]] = {}
    for one in done:
        states.setdefault(one.state.replace(" ", "_"), []).append(one.day.isoformat())
    asked = {one.day for one in done}
    whole = [row for row in published_days(figures) if row.partition_date in asked]
    counts: Mapping[dt.date, int] = {
        day: sum(row.labelled_count for row in whole if row.partition_date == day)
        for day in sorted({row.partition_date for row in whole})
    }
    shown = {"spec", "table_name", "arm", "segment_column", "segment_value"}
    return {
        "days": states,
        "without_labels": [day.isoformat() for day, labelled in counts.items() if not labelled],
        "notes": {one.day.isoformat(): one.note for one in done if one.note},
        "performance": [row.model_dump(mode="json", exclude=shown, exclude_none=True) for row in whole],
    }
