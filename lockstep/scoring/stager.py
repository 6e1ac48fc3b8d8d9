"""What is kept of the rows that one model has scored: staged rows, quarantined rows, counts and a profile."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lockstep.run.folder import RunFolder
from lockstep.run.identity import file_sha256
from lockstep.run.manifest import UnitResult
from lockstep.run.plan import Column, Plan, Unit
from lockstep.scoring.attempts import QUARANTINE, STAGING
from lockstep.scoring.memory import peak_bytes
from lockstep.scoring.outputs import arrow_array
from lockstep.scoring.profile import Profile
from lockstep.scoring.reasons import code_of
from lockstep.scoring.rows import readable
from lockstep.scoring.run_profile import RowSample, run_counter
from lockstep.scoring.scorer import ScoredBatch, Scorer
from lockstep.scoring.staged import COMPRESSION, StagedWriter, Stamps, good_rows, stamp_columns
from lockstep.scoring.stages import Stages
from lockstep.specs.spec import ScoringSpec

CODE, REASON, UNIT = "code", "reason", "unit"


@dataclass
class Tally:
    """Counts of one unit so far."""

    rows_in: int = 0
    rows_scored: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    bad: list[pa.RecordBatch] = field(default_factory=list)
    bare_s: float | None = 0.0

    @property
    def rows_bad(self) -> int:
        """Rows without a score."""
        return self.rows_in - self.rows_scored

    def add(self, batch: pa.RecordBatch, scored: ScoredBatch) -> None:
        """Count the rows of a batch."""
        reasons = scored.reasons
        self.bare_s = None if self.bare_s is None or scored.bare_s is None else self.bare_s + scored.bare_s
        self.rows_in += batch.num_rows
        self.rows_scored += batch.num_rows - len(reasons)
        for reason in reasons.values():
            self.reasons[reason] = self.reasons.get(reason, 0) + 1


class Stager:
    """Turns the scores of one model of a run into what its folder keeps; the same for all units."""

    def __init__(
        self, folder: RunFolder, plan: Plan, scorer: Scorer, *, baseline: Profile | None, run_rows: int | None
    ) -> None:
        """Prepare to stage.

        Args:
            folder: Where it is kept.
            plan: What is being scored, with which model.
            scorer: The loaded model.
            baseline: Training profile, whose bins the run's profile uses.
            run_rows: Input rows of the whole run, from which the share of rows that is sketched follows; none when
                each unit is a run of its own.
        """
        self.folder = folder
        self.plan = plan
        self.scorer = scorer
        self.run_rows = run_rows
        self._baseline = baseline
        self._stamps = Stamps(stamp_columns(plan))
        self._outputs = [column for column in scorer.signature.outputs if column.name in plan.spec.output.columns]
        self.columns = columns_read(plan.spec, scorer.signature.inputs)

    def own_columns(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the columns of a batch that this model's run reads, without those that only others need."""
        names = [name for name in self.columns if name in batch.schema.names]
        return batch if names == batch.schema.names else batch.select(names)

    def counter(self) -> Profile:
        """Return an empty profile."""
        return run_counter(self._baseline, (*self.scorer.signature.inputs, *self._outputs))

    def staged(self, batch: pa.RecordBatch, scored: ScoredBatch) -> pa.RecordBatch:
        """Return the rows that are published: those with a score or, with an error column, all."""
        columns = {name: batch.column(name) for name in self.plan.spec.carried}
        outputs, errors = self._output_columns(scored), self.plan.spec.output.errors
        if errors is not None:
            reasons = pa.array([scored.reasons.get(row) for row in range(batch.num_rows)], pa.string())
            outputs = {name: _nulled(values, reasons) for name, values in outputs.items()} | {errors: reasons}
        columns.update(outputs)
        columns.update(self._stamps.columns(batch.num_rows))
        staged = pa.RecordBatch.from_pydict(columns)
        return staged if errors is not None else good_rows(staged, list(scored.reasons))

    def profiled(self, batch: pa.RecordBatch, scored: ScoredBatch) -> dict[str, pa.Array]:
        """Return the columns that are profiled: inputs and outputs."""
        return {**dict(zip(batch.schema.names, batch.columns, strict=True)), **self._output_columns(scored)}

    def quarantined(self, batch: pa.RecordBatch, scored: ScoredBatch, *, unit: str) -> pa.RecordBatch:
        """Return the keys of the rows without a score, and why they have none."""
        rows, reasons = pa.array(list(scored.reasons), pa.int64()), list(scored.reasons.values())
        columns = {name: readable(pc.take(batch.column(name), rows)) for name in self.plan.spec.key}
        columns[CODE] = pa.array([code_of(reason) for reason in reasons], pa.string())
        columns[REASON] = pa.array(reasons, pa.string())
        columns[UNIT] = pa.repeat(pa.scalar(unit), len(rows))
        return pa.RecordBatch.from_pydict(columns)

    def _output_columns(self, scored: ScoredBatch) -> dict[str, pa.Array]:
        values = dict(zip([column.name for column in self.scorer.signature.outputs], scored.outputs, strict=True))
        found = {column.name: arrow_array(column, values[column.name]) for column in self._outputs}
        return {name: found[name] for name in self.plan.spec.output.columns}


class UnitOutput:
    """The files and figures of one attempt at one unit; a context manager that closes the staged file."""

    def __init__(self, stager: Stager, unit: Unit, attempt: str) -> None:
        """Prepare to write; nothing is made yet.

        Args:
            stager: Of the model.
            unit: What is scored.
            attempt: Id of the attempt.
        """
        self.stages = Stages()
        self.tally = Tally()
        self._stager = stager
        self._unit = unit
        self._staged = f"{STAGING}/{unit.id}/{attempt}.parquet"
        self._quarantine = f"{QUARANTINE}/{unit.id}/{attempt}.parquet"
        self._path = stager.folder.draft(self._staged)
        self._writer = StagedWriter(self._path, constant=list(stamp_columns(stager.plan)))
        self._profile = stager.counter()
        self._sample = RowSample(unit.id, rows=unit.rows, run_rows=stager.run_rows or unit.rows)

    def __enter__(self) -> "UnitOutput":
        self._writer.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.__exit__(kind, error, trace)
        if kind is not None:
            self._stager.folder.discard(self._path, self._staged)

    def score(self, batch: pa.RecordBatch) -> ScoredBatch:
        """Score a batch; adds to the stage `score`."""
        with self.stages.stage("score"):
            return self._stager.scorer.score(self._stager.own_columns(batch), where=self._unit.pieces[0].path)

    def assemble(self, batch: pa.RecordBatch, scored: ScoredBatch) -> pa.RecordBatch:
        """Return the staged rows of a batch."""
        with self.stages.stage("assemble"):
            return self._stager.staged(batch, scored)

    def write(self, rows: pa.RecordBatch) -> None:
        """Write staged rows."""
        with self.stages.stage("write"):
            self._writer.write(rows)

    def count(self, batch: pa.RecordBatch, scored: ScoredBatch) -> None:
        """Profile and count the rows of a batch, and set its bad ones aside."""
        with self.stages.stage("profile"):
            own = self._stager.own_columns(batch)
            picked = self._sample.picked(self.tally.rows_in, batch.num_rows)
            self._profile.update(self._stager.profiled(own, scored), rows=batch.num_rows, picked=picked)
        self.tally.add(batch, scored)
        if scored.reasons and self._stager.plan.spec.output.errors is None:
            self.tally.bad.append(self._stager.quarantined(batch, scored, unit=self._unit.id))

    def result(self, *, began: float, elsewhere_s: float = 0.0) -> UnitResult:
        """Describe the finished attempt; the staged file has to be closed.

        Args:
            began: Reading of the monotonic clock when it began, in seconds.
            elsewhere_s: Seconds since then that others took.
        """
        tally, errors = self.tally, self._stager.plan.spec.output.errors
        with self.stages.stage("hash"):
            digest, size = file_sha256(self._path), self._path.stat().st_size
        with self.stages.stage("write"):
            self._stager.folder.hand_in(self._path, self._staged, begun=True)
        return UnitResult(
            unit=self._unit.id,
            staged=self._staged,
            quarantined=self._write_quarantine(tally.bad),
            rows_in=tally.rows_in,
            rows_scored=tally.rows_scored,
            rows_quarantined=tally.rows_bad,
            rows_staged=tally.rows_in if errors is not None else tally.rows_scored,
            size_bytes=size,
            sha256=digest,
            reasons=tally.reasons,
            profile=self._profile.to_json(),
            seconds=round(max(time.monotonic() - began - elsewhere_s, 0.0), 3),
            stages_s=self.stages.rounded(),
            peak_bytes=peak_bytes(),
            device=self._stager.scorer.device,
            bare_s=None if tally.bare_s is None else round(tally.bare_s, 4),
        )

    def _write_quarantine(self, bad: Sequence[pa.RecordBatch]) -> str | None:
        if not bad:
            return None
        folder = self._stager.folder
        with folder.writing():
            draft = folder.draft(self._quarantine)
            table = pa.Table.from_batches(bad).combine_chunks()
            pq.write_table(table, draft, compression=COMPRESSION, coerce_timestamps="us")
        folder.hand_in(draft, self._quarantine)
        return self._quarantine


def columns_read(spec: ScoringSpec, inputs: Sequence[Column]) -> list[str]:
    """Return the columns of the input that scoring needs, each once.

    Args:
        spec: Says which are carried to the output.
        inputs: Of the model's signature.
    """
    return [*dict.fromkeys([*spec.carried, *(column.name for column in inputs)])]


def _nulled(values: pa.Array, reasons: pa.Array) -> pa.Array:
    """Return outputs with null where there is a reason; tensors keep NaN, as Arrow cannot read such nulls back."""
    if reasons.null_count == len(reasons) or pa.types.is_fixed_size_list(values.type):
        return values
    return pc.if_else(reasons.is_null(), values, None)
