"""Score one work unit: read, score, write the staged file, count; all in one pass.

A unit is finished when its result file (`<attempt>.json`, beside the staged file) is there; it is written last. An
attempt that dies leaves files that no result names and that nobody reads.
"""

import datetime as dt
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lockstep.run.folder import RunFolder
from lockstep.run.identity import file_sha256
from lockstep.run.manifest import UnitResult
from lockstep.run.plan import Plan, Unit
from lockstep.scoring.profile import Profile
from lockstep.scoring.scorer import ScoredBatch, Scorer
from lockstep.scoring.units import read_unit

STAGING, QUARANTINE = "staging", "quarantine"
REASON = "reason"
PYARROW_OPTIONS = {"compression": "zstd", "coerce_timestamps": "us"}


@dataclass
class _Tally:
    rows_in: int = 0
    rows_scored: int = 0
    reasons: dict[str, int] = field(default_factory=dict)


def stamp_columns(plan: Plan, scored_at: dt.datetime) -> dict[str, pa.Scalar]:
    """Return the values that every row of a run is stamped with."""
    return {
        "model_name": pa.scalar(plan.model.name, pa.string()),
        "model_version": pa.scalar(plan.model.version, pa.int64()),
        "model_digest": pa.scalar(plan.model.digest, pa.string()),
        "run_key": pa.scalar(plan.run_key, pa.string()),
        "scored_at": pa.scalar(scored_at, pa.timestamp("us", tz="UTC")),
    }


class UnitScorer:
    """Scores the units of one run with one loaded model."""

    def __init__(self, folder: RunFolder, plan: Plan, scorer: Scorer, *, baseline: Profile | None) -> None:
        self._folder = folder
        self._plan = plan
        self._scorer = scorer
        self._baseline = baseline or Profile({})

    def score(self, unit: Unit) -> UnitResult:
        """Score a unit, or return its finished result of an earlier attempt.

        Raises:
            RunFolderUnusable: The run folder cannot be written.
            ColumnMissing: The input lacks a column of the signature.
            ColumnTypeMismatch: A column has a type that does not fit.
        """
        done = finished(self._folder, unit)
        if done is not None:
            return done
        attempt = uuid.uuid4().hex
        result = self._write(unit, attempt)
        self._folder.write_json(f"{STAGING}/{unit.id}/{attempt}.json", result)
        return result

    def _write(self, unit: Unit, attempt: str) -> UnitResult:
        clock = time.monotonic()
        staged = f"{STAGING}/{unit.id}/{attempt}.parquet"
        spec, tally, profile = self._plan.spec, _Tally(), self._baseline.counter()
        stamps = stamp_columns(self._plan, dt.datetime.now(dt.UTC))
        bad: list[pa.RecordBatch] = []
        self._folder.folder(STAGING, unit.id)
        columns = [*dict.fromkeys([*spec.carried, *(column.name for column in self._scorer.signature.inputs)])]
        with self._folder.writing(), _LazyWriter(self._folder.file(staged)) as writer:
            for batch in read_unit(self._folder.path, unit, columns=columns, batch_rows=spec.limits.batch_rows):
                scored = self._scorer.score(batch, where=f"{unit.path} of the run")
                profile.update({**_by_name(batch), spec.output.column: scored.values}, rows=batch.num_rows)
                output = spec.output.column
                writer.write(_staged_batch(batch, scored, carried=spec.carried, output=output, stamps=stamps))
                if scored.reasons:
                    bad.append(_quarantined_batch(batch, scored, key=spec.key, unit=unit.id))
                _count(tally, batch, scored)
        path = self._folder.file(staged)
        return UnitResult(
            unit=unit.id,
            staged=staged,
            quarantined=self._write_quarantine(unit, attempt, bad),
            rows_in=tally.rows_in,
            rows_scored=tally.rows_scored,
            rows_quarantined=tally.rows_in - tally.rows_scored,
            size_bytes=path.stat().st_size,
            sha256=file_sha256(path),
            reasons=tally.reasons,
            profile=profile.to_json(),
            seconds=round(time.monotonic() - clock, 3),
        )

    def _write_quarantine(self, unit: Unit, attempt: str, bad: Sequence[pa.RecordBatch]) -> str | None:
        if not bad:
            return None
        name = f"{QUARANTINE}/{unit.id}/{attempt}.parquet"
        self._folder.folder(QUARANTINE, unit.id)
        with self._folder.writing():
            pq.write_table(pa.Table.from_batches(bad), self._folder.file(name), **PYARROW_OPTIONS)
        return name


class _LazyWriter:
    """A Parquet writer that takes its schema from the first batch."""

    def __init__(self, path: object) -> None:
        self._path = path
        self._writer: pq.ParquetWriter | None = None

    def write(self, batch: pa.RecordBatch) -> None:
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, batch.schema, **PYARROW_OPTIONS)
        self._writer.write_batch(batch)

    def __enter__(self) -> "_LazyWriter":
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()


def finished(folder: RunFolder, unit: Unit) -> UnitResult | None:
    """Return the result of a finished attempt whose staged file is still there, the first by name, or none."""
    for path in sorted(folder.file(STAGING, unit.id).glob("*.json")):
        result = folder.read_record(f"{STAGING}/{unit.id}/{path.name}", UnitResult, step="score")
        if folder.file(result.staged).is_file():
            return result
    return None


def _by_name(batch: pa.RecordBatch) -> dict[str, pa.Array]:
    return dict(zip(batch.schema.names, batch.columns, strict=True))


def _count(tally: _Tally, batch: pa.RecordBatch, scored: ScoredBatch) -> None:
    tally.rows_in += batch.num_rows
    tally.rows_scored += batch.num_rows - len(scored.reasons)
    for reason in scored.reasons.values():
        tally.reasons[reason] = tally.reasons.get(reason, 0) + 1


def _staged_batch(
    batch: pa.RecordBatch,
    scored: ScoredBatch,
    *,
    carried: Sequence[str],
    output: str,
    stamps: Mapping[str, pa.Scalar],
) -> pa.RecordBatch:
    columns = {name: batch.column(name) for name in carried}
    columns[output] = pa.array(scored.values, pa.float64())
    columns.update({name: pa.repeat(value, batch.num_rows) for name, value in stamps.items()})
    staged = pa.RecordBatch.from_pydict(columns)
    good = np.ones(batch.num_rows, dtype=bool)
    good[list(scored.reasons)] = False
    return staged if good.all() else staged.filter(pa.array(good))


def _quarantined_batch(batch: pa.RecordBatch, scored: ScoredBatch, *, key: Sequence[str], unit: str) -> pa.RecordBatch:
    rows = pa.array(list(scored.reasons), pa.int64())
    columns = {name: pc.take(batch.column(name), rows) for name in key}
    columns[REASON] = pa.array(list(scored.reasons.values()), pa.string())
    columns["unit"] = pa.repeat(pa.scalar(unit), len(rows))
    return pa.RecordBatch.from_pydict(columns)
