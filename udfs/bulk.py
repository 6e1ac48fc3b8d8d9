"""The bulk form: `mapInArrow` over work units.

Spark moves only the numbers of tasks and the names of results, so a task is as small for a million units as for one.
The wide input is read, scored and written by the Python worker itself and never crosses the JVM. A task takes units
from the job's queue until none is left.
"""

import itertools
from collections.abc import Callable, Iterator

import pyarrow as pa

from lockstep.run.folder import RunFolder
from lockstep.run.plan import Plan
from lockstep.run.queue import UnitQueue
from lockstep.run.trials import trial_plans
from lockstep.scoring.challenger import Challenger
from lockstep.scoring.engine import UnitScorer
from lockstep.scoring.profile import Profile
from lockstep.scoring.scorer import Scorer
from udfs.checked import checked
from udfs.worker import assigned_device, keep_loaded, load_once

RESULT_SCHEMA = "unit string, staged string"


def score_units(
    run_folder: str, *, device: str = "auto", bad_rows_allowed: int | None = None, run_rows: int | None = None
) -> Callable[[str], Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]]:
    """Make what `steps.score` needs: from the id of a job to a function for `DataFrame.mapInArrow`.

    Args:
        run_folder: A planned run, on storage that every worker sees.
        device: `auto`, `cpu`, `cuda`; on `auto` and `cuda` a GPU that Spark assigned to the task is used.
        bad_rows_allowed: Quarantined rows of one unit beyond which scoring stops.
        run_rows: Input rows of the whole run (see `UnitScorer`).

    Returns:
        Given the id of the job whose queue offers the units, a function from batches of `id`, the number of a task, to
        batches of unit id and staged file.
    """

    def load(plan: Plan) -> tuple[Scorer, Profile | None]:
        return load_once(
            plan.model,
            plan.cache_root,
            device=assigned_device(device),
            precision=plan.spec.model.precision,
            environment=plan.spec.model.environment,
        )

    def challenger_of(folder: RunFolder, plan: Plan) -> Challenger:
        return Challenger(folder, plan, lambda: load(plan), run_rows=run_rows)

    def scorer_of(folder: RunFolder, plan: Plan) -> UnitScorer:
        scorer, baseline = load(plan)
        return UnitScorer(
            folder,
            plan,
            scorer,
            baseline=baseline,
            bad_rows_allowed=bad_rows_allowed,
            run_rows=run_rows,
            challengers=[challenger_of(folder.challenger(name), own) for name, own in trial_plans(folder).items()],
        )

    def over(job: str) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
        def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            folder = RunFolder.at(run_folder)
            plan, queue = folder.plan(step="score"), UnitQueue(folder, job)
            units: UnitScorer | None = None  # a task that finds nothing left loads no model
            for task in itertools.chain.from_iterable(batch.column("id").to_pylist() for batch in batches):
                for unit in queue.units(task=task):
                    units = units or scorer_of(folder, plan)
                    result = units.score(unit)
                    keep_loaded(plan.model.digest)
                    yield pa.RecordBatch.from_pydict({"unit": [result.unit], "staged": [result.staged]})

        return checked(run)

    return over
