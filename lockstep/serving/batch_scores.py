"""What a batch run left of one partition: its input rows and their staged scores, joined by key."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lockstep.errors import InputError
from lockstep.run.folder import RunFolder
from lockstep.run.plan import ModelIdentity, ScoringInput
from lockstep.scoring.backends import Floats
from lockstep.scoring.units import read_unit
from lockstep.specs.limits import Limits

Key = tuple[Any, ...]


class PartitionUnfit(InputError):
    """The files of a run do not hold one score for each input row."""

    code = "LS6019"

    def __init__(self, folder: str, *, problem: str) -> None:
        super().__init__(f"the run in {folder} cannot be compared: {problem}")


@dataclass(frozen=True)
class BatchScores:
    """One partition as the batch run left it.

    Attributes:
        model: The model of the run.
        keys: Key of each input row.
        features: Input rows, only the model's columns.
        scores: `(rows,) float64` staged scores; NaN where quarantined.
        quarantined: Rows without a score.
        spec, partition: Where they come from.
    """

    spec: str
    partition: str
    model: ModelIdentity
    keys: list[Key]
    features: pa.Table
    scores: Floats
    quarantined: tuple[int, ...]


def read_batch(folder: RunFolder) -> BatchScores:
    """Read input and staged scores of a scored run, joined by key.

    Raises:
        StepOutOfOrder: The run is not scored yet.
        PartitionUnfit: Keys are not unique, or rows have no or two scores.
    """
    plan, wanted = folder.plan(step="parity"), folder.scoring_input(step="parity")
    manifest = folder.manifest(step="parity")
    names = [column.name for column in plan.model.inputs]
    key, output = list(plan.spec.key), plan.spec.output.column
    table = _read_input(folder, wanted, columns=[*dict.fromkeys([*key, *names])], limits=plan.spec.limits)
    staged = _read([folder.local(unit.staged) for unit in manifest.units], [*key, output])
    keys = _keys(table, key)
    place = {key: row for row, key in enumerate(keys)}
    staged_keys = _keys(staged, key)
    problem = _misfit(keys, staged_keys, place, quarantined=manifest.rows_in - manifest.rows_staged)
    if problem:
        raise PartitionUnfit(str(folder.path), problem=problem)
    scores = np.full(len(keys), np.nan)
    scores[[place[key] for key in staged_keys]] = staged.column(output).to_numpy()
    without = tuple(int(row) for row in np.flatnonzero(np.isnan(scores)))
    partition = plan.partition.isoformat()
    return BatchScores(plan.spec.name, partition, plan.model, keys, table.select(names), scores, without)


def sampled(batch: BatchScores, rows: int, *, seed: int) -> BatchScores:
    """Return so many rows of a partition, drawn by a seed and kept in their order; all rows when there are no more."""
    if rows >= len(batch.keys):
        return batch
    drawn = np.sort(np.random.default_rng(seed).choice(len(batch.keys), size=rows, replace=False))
    return replace(
        batch,
        keys=[batch.keys[row] for row in drawn],
        features=batch.features.take(pa.array(drawn)),
        scores=batch.scores[drawn],
        quarantined=tuple(int(row) for row in np.flatnonzero(np.isin(drawn, batch.quarantined))),
    )


def _misfit(keys: list[Key], staged: list[Key], place: dict[Key, int], *, quarantined: int) -> str | None:
    if len(place) < len(keys):
        return f"{len(keys) - len(place)} input rows share their key with another"
    if len(set(staged)) < len(staged) or not place.keys() >= set(staged):
        return "staged rows do not belong to one input row each"
    if len(staged) + quarantined != len(keys):
        return f"{len(keys)} input rows, but {len(staged)} staged and {quarantined} quarantined"
    return None


def _read_input(folder: RunFolder, wanted: ScoringInput, *, columns: Sequence[str], limits: Limits) -> pa.Table:
    bounds = {"batch_rows": limits.batch_rows, "batch_bytes": limits.batch_bytes}
    tables = [
        pa.Table.from_batches(batches)
        for unit in wanted.units
        if (batches := list(read_unit(folder.path, unit, columns=columns, **bounds)))
    ]
    if not tables:
        return pa.table({name: [] for name in columns})
    return pa.concat_tables(tables, promote_options="permissive")


def _read(paths: Sequence[Path], columns: Sequence[str]) -> pa.Table:
    tables = [pq.ParquetFile(path).read(columns=list(columns)) for path in paths]
    if not tables:
        return pa.table({name: [] for name in columns})
    return pa.concat_tables(tables, promote_options="permissive")


def _keys(table: pa.Table, key: Sequence[str]) -> list[Key]:
    return list(zip(*(table.column(name).to_pylist() for name in key), strict=True))
