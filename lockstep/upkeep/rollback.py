"""Rollback: make an earlier run of a partition live again, from its own staged files."""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from lockstep.errors import NothingToRestore, StepOutOfOrder
from lockstep.publish.contract import Publication, Warehouse, live_entry
from lockstep.publish.lineage import MADE, by_partition
from lockstep.run.canary import published_manifest
from lockstep.run.folder import RunFolder
from lockstep.specs.settings import Settings
from lockstep.steps.drift_publication import publish_drift
from lockstep.steps.request import publish_request


@dataclass(frozen=True)
class Wanted:
    """Which partitions to roll back, and how far.

    Attributes:
        days: Only these partitions; none: all that the other conditions select.
        model_version: Only partitions whose live rows this version made.
        as_of: Restore what was live at this moment; none: what was live before the run that is live now.
    """

    days: Sequence[dt.date] | None = None
    model_version: int | None = None
    as_of: dt.datetime | None = None


@dataclass(frozen=True)
class Move:
    """One partition and the run that shall be live again."""

    partition: dt.date
    live: Publication
    target: Publication


@dataclass(frozen=True)
class RollbackPlan:
    """What a rollback will do.

    Attributes:
        moves: Partitions to roll back, by day.
        done: What is live in partitions that need nothing: an earlier, interrupted rollback did them, or that run is
            live anyway.
    """

    table: str
    moves: tuple[Move, ...]
    done: tuple[Publication, ...]

    @property
    def versions(self) -> list[int]:
        """Model versions of the rows that will be live in all of these partitions."""
        return sorted({entry.model_version for entry in (*self.done, *(move.target for move in self.moves))})


def plan_rollback(warehouse: Warehouse, table: str, *, wanted: Wanted) -> RollbackPlan:
    """Find for each partition the run to restore, and check that its files are there. Changes nothing.

    Without `as_of`, a partition whose live rows are a restored run already is left alone, so that a rollback which was
    interrupted can be repeated.

    Args:
        warehouse: Where the table is.
        table: Published table.
        wanted: Which partitions, and how far.

    Raises:
        NothingToRestore: A partition has no earlier publication, or its run's files are gone; names them all.
    """
    moves, done, problems = [], [], []
    grouped = {day: entries for (_, day), entries in by_partition(warehouse.history(table)).items()}
    for day in sorted(grouped) if wanted.days is None else wanted.days:
        live = live_entry(grouped.get(day, ()))
        if live is None:
            problems.append(f"{day}: nothing is published")
            continue
        if wanted.model_version not in {None, live.model_version}:
            done += [live] if _was_restored_from(grouped[day], wanted.model_version) else []
            continue
        target = _target(grouped[day], live, as_of=wanted.as_of)
        if target is None:
            problems.append(
                f"{day}: nothing was published before run {live.run_key} ({live.recorded_at:%Y-%m-%d %H:%M})"
            )
        elif target.run_key == live.run_key:
            done.append(live)
        elif problem := _problem(target):
            problems.append(f"{day}: {problem}")
        else:
            moves.append(Move(day, live, target))
    if not moves and not done and not problems:
        problems.append("no partition is live that this selects")
    if problems:
        raise NothingToRestore(table, problems=problems)
    return RollbackPlan(table, tuple(moves), tuple(done))


def roll_back(
    warehouse: Warehouse, plan: RollbackPlan, settings: Settings, *, reason: str, now: dt.datetime
) -> Iterator[Publication]:
    """Restore partition by partition, each in a transaction of its own; yield the entries as they are made.

    Raises:
        PublishError: The warehouse refused; partitions that are done stay done.
    """
    for move in plan.moves:
        folder = RunFolder.at(move.target.run_folder)
        claim = warehouse.claim(plan.table, partition=move.partition, run_key=move.target.run_key, now=now)
        request = publish_request(folder, settings, now=now)
        why = reason or f"rollback of run {move.live.run_key}, version {move.live.model_version}"
        done = warehouse.publish(replace(request, token=claim.token, outcome="restored", reason=why))
        publish_drift(folder, warehouse, request)
        yield done


def _target(entries: Sequence[Publication], live: Publication, *, as_of: dt.datetime | None) -> Publication | None:
    """Return the publication to restore; the live one itself when there is nothing to do."""
    made = [entry for entry in entries if entry.outcome in MADE]
    if as_of is not None:
        then = live_entry([entry for entry in entries if entry.recorded_at <= as_of])
        return None if then is None else next(e for e in reversed(made) if e.run_key == then.run_key)
    if [entry.outcome for entry in made if entry.run_key == live.run_key][-1] == "restored":
        return live
    first = next(place for place, entry in enumerate(made) if entry.run_key == live.run_key)
    return made[first - 1] if first else None


def _was_restored_from(entries: Sequence[Publication], version: int | None) -> bool:
    """Whether the live rows were restored in place of rows of that model version."""
    made = [entry for entry in entries if entry.outcome in MADE]
    return len(made) > 1 and made[-1].outcome == "restored" and made[-2].model_version == version


def _problem(target: Publication) -> str | None:
    """Say why a run cannot be restored; none when its files are there (their hashes are checked when it is)."""
    folder = RunFolder.at(target.run_folder)
    try:
        folder.claim(step="rollback")
        folder.plan(step="rollback")
        units = published_manifest(folder, step="rollback").units
        lost = [unit.staged for unit in units if not folder.file(unit.staged).is_file()]
    except StepOutOfOrder:
        return f"the folder of run {target.run_key} is gone: {target.run_folder}"
    return f"run {target.run_key} has lost {len(lost)} of its staged files: {target.run_folder}" if lost else None
