"""Daft on its native runner, as its guide to stateful classes advises.

https://docs.daft.ai/en/stable/custom-code/cls/: a `@daft.cls` whose constructor loads the model, and a batch method
over whole Series. Two ways to run it are tried and the faster is measured: as Daft runs it unless told otherwise, in
threads of its own process (torch, numpy and Arrow release the interpreter's lock), where the model is kept from run to
run; and with `max_concurrency`, which starts a process for each core in each run.
"""

from pathlib import Path
from typing import Any

import daft
import pyarrow as pa

from benchmarks.job import Job
from benchmarks.systems.spark_peers import loaded
from benchmarks.workloads.workload import KEYS, SCORE, find_workload


def score_series(*, batch_rows: int, processes: int | None) -> Any:
    """Make the Daft class."""

    class ScoreSeries:
        def __init__(self, workload: str, model: str) -> None:
            self._model = loaded(workload, model)
            self._names = find_workload(workload).inputs

        @daft.method.batch(return_dtype=daft.DataType.float64(), batch_size=batch_rows)
        def score(self, *columns: daft.Series) -> pa.Array:
            batch = pa.table([column.to_arrow() for column in columns], names=self._names)
            return pa.array(self._model.predict(self._model.from_arrow(batch)))

    return daft.cls(ScoreSeries, max_concurrency=processes)


class DaftFrame:
    """A lazy frame for each run."""

    def __init__(self, job: Job, variant: str) -> None:
        self._job = job
        self._processes = job.cores if variant == "processes" else None
        self._workload = find_workload(job.workload)

    def start(self) -> None:
        daft.set_runner_native(num_threads=self._job.cores)
        job, rows = self._job, self._workload.batch_rows
        made = score_series(batch_rows=rows, processes=self._processes)
        self._scorer = made(job.workload, job.model)

    def run(self, output: Path) -> Path:
        frame = daft.read_parquet([str(file) for file in self._job.files])
        columns = [frame[name] for name in self._workload.inputs]
        scored = frame.select(*KEYS, self._scorer.score(*columns).alias(SCORE))
        scored.write_parquet(str(output), compression="zstd")
        return output

    def stop(self) -> None:
        """Nothing outlives a run."""
