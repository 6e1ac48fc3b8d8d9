"""Score one work unit: read, score, write the staged file, count; all in one pass, the stages side by side.

Models on trial see the same batches in the same pass (`lockstep.scoring.challenger`).

The staged bytes depend on the input rows, the model and the plan alone: not on batch sizes, the attempt or the
machine's load. `lockstep.scoring.attempts` says when a unit is finished.
"""

import time
import uuid
from collections.abc import Iterator, Sequence

import pyarrow as pa

from lockstep.errors import TooManyBadRows
from lockstep.run.folder import RunFolder
from lockstep.run.manifest import UnitResult
from lockstep.run.plan import Plan, Unit
from lockstep.run.progress import Heartbeat
from lockstep.scoring.attempts import STAGING, accept, attempts_begun, finished
from lockstep.scoring.challenger import Beside, Challenger
from lockstep.scoring.memory import peak_bytes
from lockstep.scoring.pipeline import GPU_CHANNELS, Behind, ahead, in_channels
from lockstep.scoring.profile import Profile
from lockstep.scoring.scorer import Scorer
from lockstep.scoring.stager import Stager, Tally, UnitOutput
from lockstep.scoring.storage import place
from lockstep.scoring.units import read_unit

# Batches that are read before they are scored, and scored before they are written, where stages overlap.
DEPTH = 2
# A unit that kept killing its workers is read in batches no smaller than these: one row at a time would never end.
SMALLEST_BATCH, SMALLEST_BATCH_BYTES = 256, 1 << 20


class _SharedReadFailed(Exception):
    """Reading failed while columns were read that only challengers need."""


class UnitScorer:
    """Scores the units of one run with one loaded model, and with those on trial beside it."""

    def __init__(
        self,
        folder: RunFolder,
        plan: Plan,
        scorer: Scorer,
        *,
        baseline: Profile | None,
        bad_rows_allowed: int | None = None,
        run_rows: int | None = None,
        challengers: Sequence[Challenger] = (),
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
            challengers: Models on trial.
        """
        self._folder = folder
        self._plan = plan
        self._scorer = scorer
        self._bad_rows_allowed = bad_rows_allowed
        self._challengers = challengers
        self._stager = Stager(folder, plan, scorer, baseline=baseline, run_rows=run_rows)
        self._heartbeat = Heartbeat(folder, device=scorer.device, peak_bytes=peak_bytes)

    def score(self, unit: Unit) -> UnitResult:
        """Score a unit, or return its finished result of an earlier attempt.

        A challenger that has not finished the unit scores it too, be it alone. Nothing that it raises comes out here.

        Raises:
            RunFolderUnusable: The run folder cannot be written.
            ColumnMissing: The input lacks a column of the signature.
            ColumnTypeMismatch: A column has a type that does not fit.
            TooManyBadRows: More rows are bad than the whole run may have.
            MemoryExhausted: Not even the smallest block of rows fits into memory.
        """
        done = finished(self._folder, unit)
        beside = Beside(self._challengers, unit)
        if done is not None:
            self._catch_up(unit, beside)
            return done
        attempt = uuid.uuid4().hex
        try:
            result = self._write(unit, attempt, beside=beside)
        except FileNotFoundError:
            # Another process of the same run finished this unit first and cleaned up behind itself.
            done = finished(self._folder, unit)
            if done is None:
                raise
            return done
        except _SharedReadFailed as error:
            beside.end_wider(self._stager.columns, error.__cause__ or error)
            return self.score(unit)
        return accept(self._folder, unit, attempt=attempt, result=result)

    def _write(self, unit: Unit, attempt: str, *, beside: Beside) -> UnitResult:
        began, died = time.monotonic(), attempts_begun(self._folder, unit)
        self._folder.begin(f"{STAGING}/{unit.id}/{attempt}.parquet")
        output = UnitOutput(self._stager, unit, attempt)
        depth = DEPTH if self._overlaps(unit) else 0
        batches = ahead(output.stages.each("read", self._read(unit, died=died, beside=beside)), depth=depth)
        self._heartbeat.begin(unit.id, output.tally.reasons)
        channels = 1 if self._scorer.device == "cpu" else GPU_CHANNELS
        with beside:
            with self._folder.writing(), output, Behind(output.write, depth=depth) as behind:
                for batch, scored in in_channels(output.score, batches, channels=channels):
                    behind.put(output.assemble(batch, scored))
                    output.count(batch, scored)
                    if scored.reasons:
                        self._stop_if_hopeless(unit, output.tally)
                    self._heartbeat.add(batch.num_rows)
                    beside.take(batch)
            result = output.result(began=began, elsewhere_s=beside.seconds)
            beside.finish()
        return result

    def _catch_up(self, unit: Unit, beside: Beside) -> None:
        """Score a unit that the champion has finished for challengers alone."""
        with beside:
            try:
                for batch in self._read(unit, died=0, beside=beside):
                    beside.take(batch)
            except Exception as error:  # noqa: BLE001 - the champion has read it, and needs it no more
                beside.end((error.__cause__ or error) if isinstance(error, _SharedReadFailed) else error)
            beside.finish()

    def _overlaps(self, unit: Unit) -> bool:
        """Whether reading and writing have threads of their own.

        They do when there is something to wait for: a GPU, or a store. On the processor every core already has a
        worker, and the kernel reads ahead from a disk; more threads only take the core, and its cache, from each other.
        """
        root = self._folder.path
        return self._scorer.device != "cpu" or any(not place(p.path, root=root).is_local for p in unit.pieces)

    def _read(self, unit: Unit, *, died: int, beside: Beside) -> Iterator[pa.RecordBatch]:
        """Read the unit; in smaller batches when attempts at it died, perhaps of lack of memory."""
        limits, own = self._plan.spec.limits, self._stager.columns
        columns = beside.columns(own)
        rows = _quartered(limits.batch_rows, died, least=SMALLEST_BATCH)
        size = _quartered(limits.batch_bytes, died, least=SMALLEST_BATCH_BYTES)
        try:
            yield from read_unit(self._folder.path, unit, columns=columns, batch_rows=rows, batch_bytes=size)
        except Exception as error:
            if columns == own:
                raise
            raise _SharedReadFailed from error

    def _stop_if_hopeless(self, unit: Unit, tally: Tally) -> None:
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


def _quartered(limit: int, times: int, *, least: int) -> int:
    return max(limit >> (2 * times), min(limit, least))
