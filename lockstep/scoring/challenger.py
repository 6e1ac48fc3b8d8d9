"""Models on trial in the pass of the champion: the same batches, files of their own, and nothing that they can break.

Whatever a challenger raises ends it for the run and is recorded; the champion goes on. A challenger that takes its
worker process with it, so that nothing can be caught, is left out once it has done so `MOST_DEATHS` times: at one unit,
as its worker sees, or in as many jobs, as the driver sees.
"""

import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pyarrow as pa

from lockstep.errors import LockstepError, StepOutOfOrder
from lockstep.run.folder import RunFolder
from lockstep.run.plan import Plan, Record, Unit
from lockstep.run.trials import FAILURE, end_trial, failure_of, reason_of
from lockstep.scoring.attempts import (
    STAGING,
    accept,
    attempts_begun,
    finished,
    remove_attempt,
    unfinished_attempts,
)
from lockstep.scoring.profile import Profile
from lockstep.scoring.scorer import Scorer
from lockstep.scoring.stager import Stager, UnitOutput, columns_read

# Fewer than the attempts that Airflow gives a task, so that the last of them is the champion's alone.
MOST_DEATHS = 2
DEATHS = "deaths.json"


class Deaths(Record):
    """How many jobs ended while a challenger's units were in work (`deaths.json`), and the attempts that told so."""

    jobs: int = 0
    attempts: tuple[str, ...] = ()


def leave_out_deadly(folder: RunFolder, plan: Plan) -> None:
    """Count, before a job begins, whether the one before it died with this challenger; too many end it.

    Args:
        folder: The challenger's own.
        plan: Its plan.
    """
    try:
        before = folder.read_record(DEATHS, Deaths, step="score")
    except StepOutOfOrder:  # nobody died so far
        before = Deaths()
    found = unfinished_attempts(folder)
    if found <= set(before.attempts):
        return
    now = Deaths(jobs=before.jobs + 1, attempts=tuple(sorted(found | set(before.attempts))))
    folder.write_json(DEATHS, now)
    if now.jobs >= MOST_DEATHS:
        why = f"{now.jobs} jobs died while it scored"
        end_trial(folder, failure_of(folder.path.name, "score", why, model=plan.model))


class Challenger:
    """One model on trial in one worker process."""

    def __init__(
        self,
        folder: RunFolder,
        plan: Plan,
        load: Callable[[], tuple[Scorer, Profile | None]],
        *,
        run_rows: int | None = None,
    ) -> None:
        """Prepare to score.

        Args:
            folder: Its own folder inside that of the run.
            plan: Its own plan.
            load: Loads the model and its training profile; called before the first unit.
            run_rows: As for the champion.
        """
        self.columns = columns_read(plan.spec, plan.model.inputs)
        self.seconds = 0.0
        self._folder = folder
        self._plan = plan
        self._load = load
        self._run_rows = run_rows
        self._stager: Stager | None = None
        self._ended = False
        self._attempt = ""
        self._output: UnitOutput | None = None
        self._files = ExitStack()

    def wants(self, unit: Unit) -> bool:
        """Whether the unit is still to be scored by this challenger."""
        if self._ended or self._folder.has(FAILURE):
            self._ended = True
            return False
        try:
            return finished(self._folder, unit) is None
        except LockstepError as error:
            self.end(reason_of(error))
            return False

    def begin(self, unit: Unit) -> None:
        """Start a unit. The attempt's file is there before the model is touched, and tells of a death."""
        self.seconds = 0.0
        with self._guarded():
            died = attempts_begun(self._folder, unit)
            if died >= MOST_DEATHS:
                self.end(f"{died} worker processes died while they scored unit {unit.id} with it")
                return
            self._attempt = uuid.uuid4().hex
            self._folder.begin(f"{STAGING}/{unit.id}/{self._attempt}.parquet")
            if self._stager is None:
                scorer, baseline = self._load()
                self._stager = Stager(self._folder, self._plan, scorer, baseline=baseline, run_rows=self._run_rows)
            self._output = self._files.enter_context(UnitOutput(self._stager, unit, self._attempt))

    def take(self, batch: pa.RecordBatch) -> None:
        """Score and write the next batch of the unit."""
        if (output := self._output) is None:
            return
        with self._timed(), self._guarded():
            scored = output.score(batch)
            output.write(output.assemble(batch, scored))
            output.count(batch, scored)

    def finish(self, unit: Unit) -> None:
        """End the unit: from now on its result counts."""
        if (output := self._output) is None:
            return
        began = time.monotonic() - self.seconds
        with self._timed(), self._guarded():
            self._files.close()
            try:
                result = output.result(began=began)
            except FileNotFoundError:
                if finished(self._folder, unit) is None:  # else a rival was faster and has cleaned up
                    raise
            else:
                accept(self._folder, unit, attempt=self._attempt, result=result)

    def leave(self, unit: Unit) -> None:
        """Close the unit's files; of an attempt that was not finished nothing stays."""
        if not self._attempt:
            return
        with self._guarded():
            self._files.close()
            done = finished(self._folder, unit)
            if done is None or Path(done.staged).stem != self._attempt:
                remove_attempt(self._folder, unit, attempt=self._attempt)
        self._output, self._attempt = None, ""

    def end(self, reason: str) -> None:
        """Score nothing more in this run."""
        self._ended, self._output, self._stager = True, None, None
        end_trial(self._folder, failure_of(self._folder.path.name, "score", reason, model=self._plan.model))

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except (Exception, SystemExit) as error:  # noqa: BLE001 - of a model on trial; the champion goes on
            self.end(reason_of(error))

    @contextmanager
    def _timed(self) -> Iterator[None]:
        clock = time.monotonic()
        try:
            yield
        finally:
            self.seconds += time.monotonic() - clock


class Beside:
    """The challengers that score one unit together; a context manager that leaves no half of it."""

    def __init__(self, challengers: Sequence[Challenger], unit: Unit) -> None:
        self.seconds = 0.0
        self._challengers = [one for one in challengers if one.wants(unit)]
        self._unit = unit

    def __bool__(self) -> bool:
        return bool(self._challengers)

    def __enter__(self) -> "Beside":
        self._each(lambda one: one.begin(self._unit))
        return self

    def __exit__(self, *_: object) -> None:
        self._each(lambda one: one.leave(self._unit))

    def columns(self, own: Iterable[str]) -> list[str]:
        """Return the columns to read: those given, then those that only challengers need."""
        return [*dict.fromkeys([*own, *(name for one in self._challengers for name in one.columns)])]

    def take(self, batch: pa.RecordBatch) -> None:
        """Score the next batch."""
        self._each(lambda one: one.take(batch))

    def finish(self) -> None:
        """Make the results of the unit count."""
        self._each(lambda one: one.finish(self._unit))

    def end(self, error: BaseException) -> None:
        """End all of them."""
        for one in self._challengers:
            one.end(reason_of(error))

    def end_wider(self, own: Iterable[str], error: BaseException) -> None:
        """End those that need columns beyond the given ones, as these cannot be read."""
        for one in self._challengers:
            if not set(one.columns) <= set(own):
                one.end(reason_of(error))

    def _each(self, work: Callable[[Challenger], None]) -> None:
        clock = time.monotonic()
        for one in self._challengers:
            work(one)
        self.seconds += time.monotonic() - clock
