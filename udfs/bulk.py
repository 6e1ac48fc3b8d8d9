"""The bulk form: `mapInArrow` over work units.

Spark moves only the numbers of the units and the names of their results; the wide input is read, scored and written by
the Python worker itself and never crosses the JVM.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from lockstep.run.folder import RunFolder
from lockstep.run.plan import Unit
from lockstep.scoring.engine import UnitScorer
from udfs.worker import assigned_device, load_once

RESULT_SCHEMA = "unit string, staged string"


def score_units(
    run_folder: str, *, device: str = "auto", bad_rows_allowed: int | None = None, run_rows: int | None = None
) -> Callable[[Sequence[Sequence[str]]], Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]]:
    """Make what `steps.score` needs: from tasks, each some unit texts, to a function for `DataFrame.mapInArrow`.

    Args:
        run_folder: A planned run, on storage that every worker sees.
        device: `auto`, `cpu`, `cuda`; on `auto` and `cuda` a GPU that Spark assigned to the task is used.
        bad_rows_allowed: Quarantined rows of one unit beyond which scoring stops.
        run_rows: Input rows of the whole run (see `UnitScorer`).

    Returns:
        Given the texts (JSON of `Unit`) of each task, a function from batches of `id`, the place of a task among them,
        to batches of unit id and staged file.
    """

    def over(tasks: Sequence[Sequence[str]]) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
        def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            folder = RunFolder(Path(run_folder))
            plan = folder.plan(step="score")
            scorer, baseline = load_once(
                plan.model,
                plan.cache_root,
                device=assigned_device(device),
                precision=plan.spec.model.precision,
                environment=plan.spec.model.environment,
            )
            units = UnitScorer(
                folder, plan, scorer, baseline=baseline, bad_rows_allowed=bad_rows_allowed, run_rows=run_rows
            )
            for batch in batches:
                for text in itertools.chain.from_iterable(tasks[place] for place in batch.column("id").to_pylist()):
                    result = units.score(Unit.model_validate_json(text))
                    yield pa.RecordBatch.from_pydict({"unit": [result.unit], "staged": [result.staged]})

        return run

    return over
