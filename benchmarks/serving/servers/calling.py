"""How a server that its user writes calls the model."""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy.typing as npt

from benchmarks.job import Job
from benchmarks.serving.sample import one_thread_model, score_array

# A call of a network of this size takes milliseconds, outside Python's lock: the hop to a thread costs little, and two
# cores work. For all others the hop costs more than it gives.
IN_THREADS = ("text",)


class Caller:
    """The model of the benchmark's job, called on the event loop or in a thread for each core, whichever is faster."""

    def __init__(self, job: Job | None = None) -> None:
        job = job or Job.from_json(os.environ["BENCHMARK_JOB"])
        self._model = one_thread_model(job)
        self._threads = ThreadPoolExecutor(job.cores) if job.workload in IN_THREADS else None

    async def score(self, row: npt.NDArray[Any]) -> float:
        """Score an array of one row."""
        if self._threads is None:
            return score_array(self._model, row)
        return await asyncio.get_running_loop().run_in_executor(self._threads, score_array, self._model, row)
