"""The bulk form: `mapInArrow` over work units.

Spark moves only the units (one small row each) and their results; the wide input is read, scored and written by the
Python worker itself and never crosses the JVM.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa

from lockstep.run.folder import RunFolder
from lockstep.run.plan import Unit
from lockstep.scoring.engine import UnitScorer
from udfs.worker import load_once

UNIT_SCHEMA = "unit string"
RESULT_SCHEMA = "result string"


def score_units(run_folder: str) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Make the function for `DataFrame.mapInArrow`.

    Args:
        run_folder: A planned run, on storage that every worker sees.

    Returns:
        A function from batches of `unit` (JSON of `Unit`) to batches of `result` (JSON of `UnitResult`).
    """

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        folder = RunFolder(Path(run_folder))
        plan = folder.plan(step="score")
        for batch in batches:
            for text in batch.column("unit").to_pylist():
                scorer, baseline = load_once(plan.model, plan.cache_root)
                result = UnitScorer(folder, plan, scorer, baseline=baseline).score(Unit.model_validate_json(text))
                yield pa.RecordBatch.from_pydict({"result": [result.model_dump_json()]})

    return run
