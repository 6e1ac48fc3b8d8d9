"""Score: every work unit once, through Spark, into staged files and a manifest."""

import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from lockstep.errors import LockstepError, TooManyBadRows, TrialIncomplete
from lockstep.run.folder import MANIFEST, RunFolder
from lockstep.run.manifest import Manifest, UnitResult
from lockstep.run.plan import Plan, ScoringInput, Unit
from lockstep.run.progress import clear_progress
from lockstep.run.queue import UnitQueue, clear_queues
from lockstep.run.trials import end_trial, failure_of, on_trial, reason_of, trial_plans
from lockstep.scoring.attempts import remove_strays, results_by_unit, results_of
from lockstep.scoring.challenger import leave_out_deadly
from lockstep.scoring.profile import Profile
from lockstep.scoring.staged import names_model
from lockstep.steps.progress import ProgressWatch, RunProgress

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import SparkSession

# A function for `mapInArrow` over the numbers of tasks, and what makes it of a job's id (see `udfs.bulk`).
UnitFunction = Callable[[Iterator["pa.RecordBatch"]], Iterator["pa.RecordBatch"]]
UnitUdf = Callable[[str], UnitFunction]
WATCH_S, TELL_EVERY = 1.0, 10
# Of a job, unless the cluster has half as many cores.
MOST_TASKS = 4096


def score_units_with_spark(
    spark: "SparkSession",
    folder: RunFolder,
    *,
    udf: UnitUdf,
    result_schema: str,
    tell: Callable[[str], None] = lambda _: None,
) -> Manifest:
    """Score the unfinished units of a run, also those that only a challenger has not finished; write the manifests.

    Args:
        spark: A running session.
        folder: A run whose input is materialised.
        udf: Makes the function that scores units (see `udfs.bulk`).
        result_schema: Spark schema of what it returns.
        tell: Gets a line of progress now and then, and at the end.

    Returns:
        The manifest: for each unit one accepted attempt.

    Raises:
        TooManyBadRows: More rows are quarantined than the run may have, and rows are left to score.
    """
    plan = folder.plan(step="score")
    wanted = folder.scoring_input(step="score")
    for alias, own in trial_plans(folder).items():
        leave_out_deadly(folder.challenger(alias), own)
    folders = [folder, *(folder.challenger(alias) for alias in on_trial(folder))]
    finished = [results_by_unit(one) for one in folders]
    todo = [unit for unit in wanted.units if any(unit.id not in done for done in finished)]
    clear_progress(folder)
    if todo:
        job, tasks = uuid.uuid4().hex, count_tasks(spark, len(todo))
        UnitQueue(folder, job).open(_largest_first(todo), width=spark.sparkContext.defaultParallelism)
        # One Spark partition for each task.
        numbers = spark.range(0, tasks, 1, tasks)
        with _Watch(spark, folder, wanted, allowed=plan.bad_rows_allowed(wanted.rows), tell=tell):
            numbers.mapInArrow(udf(job), result_schema).collect()
        clear_queues(folder)  # not before: a driver that is thought dead may still be at work with its own
    manifest = write_manifest(folder)
    accept_challengers(folder, wanted)
    return manifest


def count_tasks(spark: "SparkSession", units: int) -> int:
    """Return how many tasks shall share so many units.

    On one machine a task for each core. On a cluster, whose executors come and go, one for each unit, as long as these
    are few: a task that finds nothing left ends at once. Of many units each task takes many, so that what Spark's
    scheduler has to do does not grow with them.
    """
    context = spark.sparkContext
    cores = context.defaultParallelism
    return min(units, cores if str(context.master).startswith("local") else max(MOST_TASKS, 2 * cores))


def write_manifest(folder: RunFolder) -> Manifest:
    """Accept one finished attempt per unit, write `manifest.json`, then remove what other attempts left. Repeatable.

    A manifest that is there stays as it is: an audit may have passed it.
    """
    if folder.has(MANIFEST):
        manifest = folder.manifest(step="score")
    else:
        plan, wanted = folder.plan(step="score"), folder.scoring_input(step="score")
        manifest = manifest_of(plan, results_of(folder, wanted.units))
        folder.write_json(MANIFEST, manifest)
    remove_strays(folder, manifest.units)
    return manifest


def manifest_of(plan: Plan, results: Iterable[UnitResult]) -> Manifest:
    """Put the accepted attempts of a run together; of their profiles one is held at a time."""
    units: list[UnitResult] = []

    def noted() -> Iterator[UnitResult]:
        for result in results:
            units.append(result.model_copy(update={"profile": {}}))
            yield result

    profile = merged_profile(noted())
    return Manifest(run_key=plan.run_key, units=tuple(units), profile=profile)


def accept_challengers(folder: RunFolder, wanted: ScoringInput) -> None:
    """Write the manifest of each challenger that scored all units; the others have ended, and it is recorded why."""
    for alias, plan in trial_plans(folder).items():
        own = folder.challenger(alias)
        try:
            _accept(own, plan, wanted)
        except Exception as error:  # noqa: BLE001 - a trial never hurts the run
            end_trial(own, failure_of(alias, "score", reason_of(error), model=plan.model))


def _accept(own: RunFolder, plan: Plan, wanted: ScoringInput) -> None:
    if own.has(MANIFEST):
        remove_strays(own, own.manifest(step="score").units)
        return
    manifest = manifest_of(plan, results_of(own, wanted.units))
    scored = manifest.units
    files = own.local_files([result.staged for result in scored])
    strange = [file for file in files if not names_model(file, plan.model.digest)]
    if len(scored) < len(wanted.units) or strange:
        raise TrialIncomplete(units=len(wanted.units), scored=len(scored), strange=len(strange))
    own.write_json(MANIFEST, manifest)
    remove_strays(own, scored)


def _largest_first(units: Sequence[Unit]) -> list[Unit]:
    return sorted(units, key=lambda unit: (-unit.size_bytes, unit.id))


def merged_profile(results: Iterable[UnitResult]) -> dict[str, Any]:
    """Return the profile of all units together, in JSON form."""
    total: Profile | None = None
    for result in results:
        if not result.profile:
            continue
        profile = Profile.from_json(result.profile)
        if total is None:
            total = profile
        else:
            total.merge(profile)
    return {} if total is None else total.to_json()


class _Watch:
    """Looks at a running job every second: tells its progress, and stops it when too many rows are bad."""

    def __init__(
        self,
        spark: "SparkSession",
        folder: RunFolder,
        wanted: ScoringInput,
        *,
        allowed: int,
        tell: Callable[[str], None],
    ) -> None:
        self._spark = spark
        self._folder = folder
        self._progress = ProgressWatch(folder, wanted)
        self._total = wanted.rows
        self._allowed = allowed
        self._tell = tell
        self._ended = threading.Event()
        self._error: LockstepError | None = None
        self._thread = threading.Thread(target=self._work, name="watch", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        self._ended.set()
        self._thread.join()
        if self._error is not None and kind is not None:
            raise self._error from error
        if kind is None:
            self._tell(self._progress.look(now=True).line())

    def _work(self) -> None:
        looks = 0
        while not self._ended.wait(WATCH_S):
            now = self._progress.look()
            looks += 1
            if looks % TELL_EVERY == 0:
                self._tell(now.line())
            if now.quarantined > self._allowed and now.rows < self._total:
                self._stop(now)
                return

    def _stop(self, now: RunProgress) -> None:
        partition = str(self._folder.plan(step="score").partition)
        self._error = TooManyBadRows(
            partition, bad=now.quarantined, read=now.rows, allowed=self._allowed, reasons=now.reasons
        )
        self._spark.sparkContext.cancelAllJobs()


def summary(folder: RunFolder, *, reused: bool) -> dict[str, Any]:
    """Return the figures of a scored run."""
    manifest = folder.manifest(step="score")
    return {
        "rows_in": manifest.rows_in,
        "rows_scored": manifest.rows_scored,
        "rows_quarantined": manifest.rows_quarantined,
        "units": len(manifest.units),
        "rows_per_worker_s": round(manifest.rows_in / manifest.worker_seconds) if manifest.worker_seconds else None,
        "percent_of_bare_model": _rounded(manifest.percent_of_bare_model),
        "peak_mib": manifest.peak_bytes >> 20,
        "device": " ".join(manifest.devices),
        "reused": reused,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
