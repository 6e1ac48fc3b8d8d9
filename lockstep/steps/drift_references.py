"""What the drift of a run is measured against: the model's training data, and the published runs of the days before."""

import datetime as dt
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq

from lockstep.errors import StepOutOfOrder
from lockstep.publish.contract import Publication
from lockstep.publish.lineage import live_entries
from lockstep.publish.warehouse import open_warehouse
from lockstep.quality.drift import ColumnDrift, ColumnTrend, DriftWindow, drift_of, trend_of
from lockstep.quality.drift_table import drift_table
from lockstep.quality.window import pooled
from lockstep.run.folder import DRIFT, RunFolder
from lockstep.run.manifest import Manifest
from lockstep.run.plan import Plan

Profile = Mapping[str, Any]
# Features whose trend is kept, those that moved most; the score's is always.
TREND_FEATURES = 10


@dataclass(frozen=True)
class DriftFacts:
    """What was measured of one run."""

    columns: tuple[ColumnDrift, ...] = ()
    trends: tuple[ColumnTrend, ...] = ()
    window: DriftWindow | None = None


@dataclass(frozen=True)
class EarlierRuns:
    """The profiles of earlier days, in order, and how many published days could not be read."""

    profiles: tuple[tuple[dt.date, Profile], ...] = ()
    unreadable: int = 0


def earlier_publications(plan: Plan, *, wait_s: float) -> list[Publication]:
    """Return what is live of the partitions before a plan's, by day.

    Args:
        plan: The run; a rerun or a backfill looks back from its own partition.
        wait_s: How long to wait for another process that holds the warehouse, in seconds.
    """
    warehouse = open_warehouse(plan.spec.publish.warehouse, plan.warehouse, wait_s=wait_s)
    live = live_entries(warehouse.history(plan.spec.publish.table))
    return [entry for entry in live if entry.partition < plan.partition]


def earlier_runs(plan: Plan, earlier: Sequence[Publication]) -> list[RunFolder]:
    """Return the run folders of the days in the spec's trailing window, in order.

    Days of a gap are not made up for by older ones: what was usual long ago is no trailing reference.

    Args:
        plan: The run.
        earlier: What is live of the partitions before it.
    """
    window = dt.timedelta(plan.spec.drift.window_days)
    return [RunFolder.at(entry.run_folder) for entry in earlier if plan.partition - entry.partition <= window]


def measure_drift(plan: Plan, manifest: Manifest, *, training: Profile | None, earlier: EarlierRuns) -> DriftFacts:
    """Compare a run with its model's training data and with the days before, by profiles alone.

    Args:
        plan: The run.
        manifest: Its accepted units with their merged profile.
        training: Profile of the model's training data, JSON form; none when the model carries none.
        earlier: The days before; fewer than the spec's `min_days` are measured in the trend, and are no reference.
    """
    now = manifest.profile
    if not now:
        return DriftFacts()
    columns = drift_of(training, now) if training is not None else []
    if len(earlier.profiles) >= plan.spec.drift.min_days:
        trailing = pooled([profile for _, profile in earlier.profiles])
        columns += drift_of(trailing, now, against="trailing")
    trends: Sequence[ColumnTrend] = ()
    if training is not None:
        days = [*earlier.profiles, (plan.partition, now)]
        trends = trend_of(training, days, columns=_followed(columns, plan.spec.output.column))
    window = DriftWindow(days=tuple(day for day, _ in earlier.profiles), unreadable=earlier.unreadable)
    return DriftFacts(tuple(columns), tuple(trends), window)


def read_profiles(folders: Sequence[RunFolder]) -> EarlierRuns:
    """Read the profiles of earlier runs; a folder that is gone, or is of another Lockstep, is counted as unreadable."""
    profiles = []
    for folder in folders:
        try:
            profile = folder.manifest(step="audit").profile
            if profile:
                profiles.append((folder.plan(step="audit").partition, profile))
        except StepOutOfOrder:
            continue
    ordered = tuple(sorted(profiles, key=lambda found: found[0]))
    return EarlierRuns(ordered, unreadable=len(folders) - len(ordered))


def write_drift(folder: RunFolder, plan: Plan, drift: Sequence[ColumnDrift]) -> None:
    """Write `drift.parquet`, atomically."""
    with folder.writing():
        partial = folder.draft(f".{DRIFT}.{os.getpid()}.partial")
        try:
            pq.write_table(drift_table(plan, drift), partial)
            folder.hand_in(partial, DRIFT)
        finally:
            partial.unlink(missing_ok=True)


def _followed(drift: Sequence[ColumnDrift], output: str) -> list[str]:
    features = [one.column for one in drift if one.reference == "training" and one.column != output]
    return [output, *features[:TREND_FEATURES]]
