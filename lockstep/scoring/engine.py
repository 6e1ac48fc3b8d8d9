"""Score one work unit: read, score, write the staged file, count; all in one pass, the stages side by side.

A unit is finished when its result file (`<attempt>.json`, beside the staged file) is there; it is written last. An
attempt that dies leaves files that no result names and that nobody reads. The staged bytes depend on the input rows,
the model and the plan alone: not on batch sizes, the attempt or the machine's load.
"""

import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lockstep.errors import TooManyBadRows
from lockstep.run.folder import MANIFEST, RunFolder
from lockstep.run.identity import file_sha256
from lockstep.run.manifest import UnitResult
from lockstep.run.plan import Plan, Unit
from lockstep.run.progress import PROGRESS, Heartbeat
from lockstep.scoring.memory import peak_bytes
from lockstep.scoring.outputs import arrow_array
from lockstep.scoring.pipeline import Behind, ahead, in_channels
from lockstep.scoring.profile import Profile
from lockstep.scoring.reasons import code_of
from lockstep.scoring.rows import readable
from lockstep.scoring.run_profile import RowSample, run_counter
from lockstep.scoring.scorer import ScoredBatch, Scorer
from lockstep.scoring.staged import COMPRESSION, StagedWriter, Stamps, good_rows, stamp_columns
from lockstep.scoring.stages import Stages
from lockstep.scoring.storage import place
from lockstep.scoring.units import read_unit

STAGING, QUARANTINE = "staging", "quarantine"
CODE, REASON, UNIT = "code", "reason", "unit"
# Batches that are read before they are scored, and scored before they are written, where stages overlap.
DEPTH = 2
# Threads that feed one GPU: one encodes or decodes while the other's batch is computed.
GPU_CHANNELS = 3
# A unit that kept killing its workers is read in batches no smaller than these: one row at a time would never end.
SMALLEST_BATCH, SMALLEST_BATCH_BYTES = 256, 1 << 20


@dataclass
class _Tally:
    rows_in: int = 0
    rows_scored: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    bad: list[pa.RecordBatch] = field(default_factory=list)
    bare_s: float | None = 0.0

    @property
    def rows_bad(self) -> int:
        return self.rows_in - self.rows_scored

    def add(self, batch: pa.RecordBatch, scored: ScoredBatch) -> None:
        reasons = scored.reasons
        self.bare_s = None if self.bare_s is None or scored.bare_s is None else self.bare_s + scored.bare_s
        self.rows_in += batch.num_rows
        self.rows_scored += batch.num_rows - len(reasons)
        for reason in reasons.values():
            self.reasons[reason] = self.reasons.get(reason, 0) + 1


class UnitScorer:
    """Scores the units of one run with one loaded model."""

    def __init__(
        self,
        folder: RunFolder,
        plan: Plan,
        scorer: Scorer,
        *,
        baseline: Profile | None,
        bad_rows_allowed: int | None = None,
        run_rows: int | None = None,
    ) -> None:
        """Prepare to score.

        Args:
            folder: The run.
            plan: Its plan.
            scorer: The loaded model.
            baseline: Training profile, whose bins the run's profile uses.
            bad_rows_allowed: Quarantined rows beyond which the run cannot pass its audit; none for no limit.
            run_rows: Input rows of the whole run, from which the share of rows that is sketched follows; none when
                each unit is a run of its own.
        """
        self._folder = folder
        self._plan = plan
        self._scorer = scorer
        self._baseline = baseline
        self._bad_rows_allowed = bad_rows_allowed
        self._run_rows = run_rows
        self._stamps = Stamps(stamp_columns(plan))
        self._heartbeat = Heartbeat(folder, device=scorer.device, peak_bytes=peak_bytes)
        self._outputs = [column for column in scorer.signature.outputs if column.name in plan.spec.output.columns]

    def score(self, unit: Unit) -> UnitResult:
        """Score a unit, or return its finished result of an earlier attempt.

        Raises:
            RunFolderUnusable: The run folder cannot be written.
            ColumnMissing: The input lacks a column of the signature.
            ColumnTypeMismatch: A column has a type that does not fit.
            TooManyBadRows: More rows are bad than the whole run may have.
            MemoryExhausted: Not even the smallest block of rows fits into memory.
        """
        done = finished(self._folder, unit)
        if done is not None:
            return done
        attempt = uuid.uuid4().hex
        try:
            result = self._write(unit, attempt)
        except FileNotFoundError:
            # Another process of the same run finished this unit first and cleaned up behind itself.
            done = finished(self._folder, unit)
            if done is None:
                raise
            return done
        done = finished(self._folder, unit)
        if done is not None:  # a rival attempt was faster: leave nothing behind
            _remove_attempt(self._folder, unit.id, attempt)
            return done
        self._folder.write_json(f"{STAGING}/{unit.id}/{attempt}.json", result)
        return result

    def _write(self, unit: Unit, attempt: str) -> UnitResult:
        clock, stages = time.monotonic(), Stages()
        died = _attempts_that_died(self._folder, unit)
        staged = self._folder.folder(STAGING, unit.id) / f"{attempt}.parquet"
        tally = _Tally()
        profile = run_counter(self._baseline, (*self._scorer.signature.inputs, *self._outputs))
        sample = RowSample(unit.id, rows=unit.rows, run_rows=self._run_rows or unit.rows)
        depth = DEPTH if self._overlaps(unit) else 0
        batches = ahead(stages.each("read", self._read(unit, died=died)), depth=depth)
        self._heartbeat.begin(unit.id, tally.reasons)

        def scored_of(batch: pa.RecordBatch) -> ScoredBatch:
            with stages.stage("score"):
                return self._scorer.score(batch, where=unit.pieces[0].path)

        channels = 1 if self._scorer.device == "cpu" else GPU_CHANNELS
        with (
            self._folder.writing(),
            StagedWriter(staged, constant=list(stamp_columns(self._plan))) as writer,
            Behind(stages.timed("write", writer.write), depth=depth) as behind,
        ):
            for batch, scored in in_channels(scored_of, batches, channels=channels):
                with stages.stage("assemble"):
                    staged_rows = self._staged(batch, scored)
                behind.put(staged_rows)
                with stages.stage("profile"):
                    picked = sample.picked(tally.rows_in, batch.num_rows)
                    profile.update(self._profiled(batch, scored), rows=batch.num_rows, picked=picked)
                tally.add(batch, scored)
                if scored.reasons:
                    self._stop_if_hopeless(unit, tally)
                    if self._plan.spec.output.errors is None:
                        tally.bad.append(self._quarantined(batch, scored, unit=unit.id))
                self._heartbeat.add(batch.num_rows)
        with stages.stage("hash"):
            digest = file_sha256(staged)
        return UnitResult(
            unit=unit.id,
            staged=f"{STAGING}/{unit.id}/{attempt}.parquet",
            quarantined=self._write_quarantine(unit, attempt, tally.bad),
            rows_in=tally.rows_in,
            rows_scored=tally.rows_scored,
            rows_quarantined=tally.rows_bad,
            rows_staged=tally.rows_in if self._plan.spec.output.errors is not None else tally.rows_scored,
            size_bytes=staged.stat().st_size,
            sha256=digest,
            reasons=tally.reasons,
            profile=profile.to_json(),
            seconds=round(time.monotonic() - clock, 3),
            stages_s=stages.rounded(),
            peak_bytes=peak_bytes(),
            device=self._scorer.device,
            bare_s=None if tally.bare_s is None else round(tally.bare_s, 4),
        )

    def _overlaps(self, unit: Unit) -> bool:
        """Whether reading and writing have threads of their own.

        They do when there is something to wait for: a GPU, or a store. On the processor every core already has a
        worker, and the kernel reads ahead from a disk; more threads only take the core, and its cache, from each other.
        """
        root = self._folder.path
        return self._scorer.device != "cpu" or any(not place(p.path, root=root).is_local for p in unit.pieces)

    def _read(self, unit: Unit, *, died: int) -> Iterator[pa.RecordBatch]:
        """Read the unit; in smaller batches when attempts at it died, perhaps of lack of memory."""
        spec, inputs = self._plan.spec, self._scorer.signature.inputs
        columns = [*dict.fromkeys([*spec.carried, *(column.name for column in inputs)])]
        rows = _quartered(spec.limits.batch_rows, died, least=SMALLEST_BATCH)
        size = _quartered(spec.limits.batch_bytes, died, least=SMALLEST_BATCH_BYTES)
        return read_unit(self._folder.path, unit, columns=columns, batch_rows=rows, batch_bytes=size)

    def _staged(self, batch: pa.RecordBatch, scored: ScoredBatch) -> pa.RecordBatch:
        """Return the rows that are published: those with a score or, with an error column, all."""
        columns = {name: batch.column(name) for name in self._plan.spec.carried}
        outputs, errors = self._output_columns(scored), self._plan.spec.output.errors
        if errors is not None:
            reasons = pa.array([scored.reasons.get(row) for row in range(batch.num_rows)], pa.string())
            outputs = {name: _nulled(values, reasons) for name, values in outputs.items()} | {errors: reasons}
        columns.update(outputs)
        columns.update(self._stamps.columns(batch.num_rows))
        staged = pa.RecordBatch.from_pydict(columns)
        return staged if errors is not None else good_rows(staged, list(scored.reasons))

    def _output_columns(self, scored: ScoredBatch) -> dict[str, pa.Array]:
        values = dict(zip([column.name for column in self._scorer.signature.outputs], scored.outputs, strict=True))
        found = {column.name: arrow_array(column, values[column.name]) for column in self._outputs}
        return {name: found[name] for name in self._plan.spec.output.columns}

    def _profiled(self, batch: pa.RecordBatch, scored: ScoredBatch) -> dict[str, pa.Array]:
        return {**dict(zip(batch.schema.names, batch.columns, strict=True)), **self._output_columns(scored)}

    def _quarantined(self, batch: pa.RecordBatch, scored: ScoredBatch, *, unit: str) -> pa.RecordBatch:
        rows, reasons = pa.array(list(scored.reasons), pa.int64()), list(scored.reasons.values())
        columns = {name: readable(pc.take(batch.column(name), rows)) for name in self._plan.spec.key}
        columns[CODE] = pa.array([code_of(reason) for reason in reasons], pa.string())
        columns[REASON] = pa.array(reasons, pa.string())
        columns[UNIT] = pa.repeat(pa.scalar(unit), len(rows))
        return pa.RecordBatch.from_pydict(columns)

    def _stop_if_hopeless(self, unit: Unit, tally: _Tally) -> None:
        """Circuit breaker: go no further once this unit alone has more bad rows than the whole run may have."""
        allowed = self._bad_rows_allowed
        if allowed is not None and tally.rows_bad > allowed and tally.rows_in < unit.rows:
            raise TooManyBadRows(
                str(self._plan.partition),
                bad=tally.rows_bad,
                read=tally.rows_in,
                allowed=allowed,
                reasons=tally.reasons,
            )

    def _write_quarantine(self, unit: Unit, attempt: str, bad: Sequence[pa.RecordBatch]) -> str | None:
        if not bad:
            return None
        name = f"{QUARANTINE}/{unit.id}/{attempt}.parquet"
        self._folder.folder(QUARANTINE, unit.id)
        with self._folder.writing():
            table = pa.Table.from_batches(bad).combine_chunks()
            pq.write_table(table, self._folder.file(name), compression=COMPRESSION, coerce_timestamps="us")
        return name


def finished(folder: RunFolder, unit: Unit) -> UnitResult | None:
    """Return the result of a finished attempt whose staged file is still there, the first by name, or none."""
    for path in sorted(folder.file(STAGING, unit.id).glob("*.json")):
        result = folder.read_record(f"{STAGING}/{unit.id}/{path.name}", UnitResult, step="score")
        if folder.file(result.staged).is_file():
            return result
    return None


def remove_strays(folder: RunFolder, accepted: Sequence[UnitResult]) -> int:
    """Delete what attempts left that were not accepted, or that died; return how many staged files that were."""
    removed = 0
    for result in accepted:
        keep = Path(result.staged).stem
        for kind in (QUARANTINE, STAGING):
            for path in folder.file(kind, result.unit).glob("*"):
                if path.stem != keep:
                    path.unlink(missing_ok=True)
                    removed += kind == STAGING and path.suffix == ".parquet"
    for path in (*folder.path.glob(f".{MANIFEST}.*.partial"), *folder.file(PROGRESS).glob(".*.partial")):
        path.unlink(missing_ok=True)
    return removed


def _remove_attempt(folder: RunFolder, unit: str, attempt: str) -> None:
    for kind in (QUARANTINE, STAGING):
        folder.file(kind, unit, f"{attempt}.parquet").unlink(missing_ok=True)


def _attempts_that_died(folder: RunFolder, unit: Unit) -> int:
    names = [path for path in folder.file(STAGING, unit.id).glob("*") if not path.name.startswith(".")]
    return len({path.stem for path in names if path.suffix == ".parquet"})


def _quartered(limit: int, times: int, *, least: int) -> int:
    return max(limit >> (2 * times), min(limit, least))


def _nulled(values: pa.Array, reasons: pa.Array) -> pa.Array:
    """Return outputs with null where there is a reason; tensors keep NaN, as Arrow cannot read such nulls back."""
    if reasons.null_count == len(reasons) or pa.types.is_fixed_size_list(values.type):
        return values
    return pc.if_else(reasons.is_null(), values, None)
