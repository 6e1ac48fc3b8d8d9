"""Labels: what the days of a spec are measured with, and the performance of the rows of one table and day."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import pyarrow as pa

from lockstep.data.outcomes import LabelQuery, labelled_rows, outcome_source, outcomes_of
from lockstep.data.snapshot import outcome_files
from lockstep.errors import ColumnTypeMismatch, SpecError
from lockstep.publish.contract import Publication, Warehouse
from lockstep.quality import drift_table, performance_table
from lockstep.quality.performance_table import LABEL, PUBLISHED, SCORE, VERSION, PerformanceRow, performance_rows
from lockstep.run.identity import RUN_KEY_DIGITS, canonical_digest
from lockstep.run.plan import SourceFile
from lockstep.specs.labels_spec import Labels
from lockstep.specs.loading import SPEC_FILE, LoadedSpec
from lockstep.specs.settings import Settings
from lockstep.specs.spec import ScoringSpec
from lockstep.steps.live_rows import live_rows, staged_request

# Part of the key of a measurement: another value measures every day again.
FORMAT = 1


@dataclass(frozen=True)
class Measuring:
    """What every day of a spec is measured with.

    Attributes:
        spec: It has labels, which are `labels`.
        query: Gives the labels of a day.
        settings: Where things are.
        warehouse: Where the scores are, and the figures go.
        arms: Tables to measure: `published`, then the challengers by alias.
    """

    spec: ScoringSpec
    labels: Labels
    query: LabelQuery
    settings: Settings
    warehouse: Warehouse
    arms: Mapping[str, str]

    def files(self, day: dt.date) -> tuple[SourceFile, ...]:
        """The files with the outcomes of a day, as they are now."""
        return outcome_files(outcome_source(self.spec, self.labels.source), day, self.settings.data_root)

    def live(self, day: dt.date) -> dict[str, Publication]:
        """What is live of a day, by arm."""
        found = {arm: self.warehouse.live(table, day) for arm, table in self.arms.items()}
        return {arm: entry for arm, entry in found.items() if entry is not None}


def labels_of(loaded: LoadedSpec) -> Labels:
    """Return the labels of a spec, or raise `SpecError` when it has none."""
    if loaded.spec.labels is None:
        problem = "key labels: the spec has none, so its scores cannot be compared with what happened (docs/labels.md)"
        raise SpecError(str(loaded.folder / SPEC_FILE), [problem])
    return loaded.spec.labels


def measuring(loaded: LoadedSpec, settings: Settings, warehouse: Warehouse) -> Measuring:
    """Prepare to measure a spec's days.

    Raises:
        SpecError: The spec has no labels, or the query's file is not there.
        PublishError: The warehouse cannot be read.
    """
    labels, spec = labels_of(loaded), loaded.spec
    file = loaded.file(labels.query)
    query = LabelQuery(
        text=file.read_text(encoding="utf-8"),
        origin=str(file),
        key=spec.key,
        carried=spec.carried,
        binary=labels.kind == "binary",
    )
    return Measuring(spec, labels, query, settings, warehouse, arms_of(spec, warehouse.history(), settings))


def arms_of(spec: ScoringSpec, history: Sequence[Publication], settings: Settings) -> dict[str, str]:
    """Return the tables with scores of a spec: the published one, and those of its challengers.

    A table is a challenger's when the spec says so, or when it is called like the published one with something behind
    it, and its run staged rows for it; what else lies beside a published table (drift, performance) was made from rows
    of another table.
    """
    published = spec.publish.table
    aliases = {one.shadow_table(published): one.alias for one in (spec.trial.challengers if spec.trial else ())}
    found = {PUBLISHED: published}
    newest = {entry.table: entry for entry in history if entry.outcome != "refused" and entry.spec == spec.name}
    for table in sorted(newest):
        beside = table.startswith(f"{published}_")
        ours = table in aliases or (beside and not table.endswith((drift_table.SUFFIX, performance_table.SUFFIX)))
        if ours and staged_request(newest[table], settings) is not None:
            found[aliases.get(table, table.removeprefix(f"{published}_"))] = table
    return found


def latest_day(loaded: LoadedSpec, now: dt.datetime) -> dt.date:
    """Return the last day whose labels are complete: `delay_days` full days have passed since it."""
    today = now.astimezone(ZoneInfo(loaded.spec.schedule.timezone)).date()
    return today - dt.timedelta(days=1 + labels_of(loaded).delay_days)


def measurement_key(run: Measuring, live: Mapping[str, Publication], files: Sequence[SourceFile]) -> str:
    """Hash what decides the figures of a day: the live rows of every arm, the outcomes and how they are compared."""
    how = run.labels.model_dump(mode="json", include={"source", "kind", "segments", "min_rows"})
    scores = {arm: [entry.table, entry.run_key] for arm, entry in live.items()}
    found = sorted((file.path, file.size_bytes, file.mtime_ns) for file in files)
    facts = [FORMAT, run.query.text, run.query.key, run.spec.output.column, how, scores, found]
    return canonical_digest(facts)[:RUN_KEY_DIGITS]


def measure_table(live: Publication, run: Measuring, *, arm: str, files: Sequence[SourceFile]) -> list[PerformanceRow]:
    """Measure the rows of one publication: those that were published, or a challenger's of the same key.

    Args:
        live: Live entry of the table's partition.
        run: What they are measured with.
        arm: `published`, or the challenger's alias.
        files: The outcomes.

    Raises:
        RowsUnreadable: Its rows are gone.
        InputError: Rows or outcomes lack a column, or the query fails.
    """
    if not live.rows:
        return []
    spec, labels = run.spec, run.labels
    rows = live_rows(run.warehouse, live, run.settings, partition_column=spec.partition.column)
    _check_number(rows.schema, spec.output.column)
    outcomes = outcomes_of(outcome_source(spec, labels.source), files, run.settings.data_root)
    columns = {SCORE: spec.output.column, VERSION: VERSION, **{name: name for name in labels.segments}}
    found = labelled_rows(rows, outcomes, run.query, columns=columns, day=live.partition)
    return performance_rows(
        found.rename_columns([*columns, LABEL]),
        live,
        arm=arm,
        kind=labels.kind,
        segments=labels.segments,
        min_rows=labels.min_rows,
    )


def _check_number(schema: pa.Schema, score: str) -> None:
    """Raise `ColumnTypeMismatch` when the score is a text or a tensor; whether it is there is asked with the others."""
    kind = schema.field(score).type if score in schema.names else pa.float64()
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
        raise ColumnTypeMismatch(score, where="the published rows", expected="a number, for labels", got=str(kind))
