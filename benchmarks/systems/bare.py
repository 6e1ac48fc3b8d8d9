"""The bare loop: pyarrow and the model, what a good engineer writes who needs nothing but speed.

Three ways are tried: a process per core, each taking the next file with one thread for everything; the same with
threads of one process (pyarrow, numpy and torch release the interpreter's lock); and file after file, each with all
threads of pyarrow and torch. Only needed columns are read; a row group is decoded, stacked to float32, scored and
written at a time, and no dictionary is tried on columns of unique values. The model's own chunk sizes are those that
were fastest here (see each workload). Freed memory stays with the process, as in Lockstep's workers.
"""

import multiprocessing
import os
from multiprocessing.pool import Pool, ThreadPool
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.job import Job
from benchmarks.workloads.workload import KEYS, SCORE, Model, find_workload
from lockstep.scoring.memory import keep_freed_memory

SCHEMA = pa.schema([("day", pa.date32()), ("id", pa.int64()), (SCORE, pa.float64())])


class Scorer:
    """A loaded model and what it reads."""

    def __init__(self, job: Job, *, threads: int) -> None:
        import torch

        keep_freed_memory()
        torch.set_num_threads(threads)
        pa.set_cpu_count(threads)
        workload = find_workload(job.workload)
        self.threads = threads
        self.columns = [*KEYS, *workload.inputs]
        self.model: Model = workload.load(Path(job.model))

    def score_file(self, source: Path, target: Path) -> int:
        """Read, score and write one file; return its rows."""
        with (
            pq.ParquetFile(source, memory_map=True) as file,
            pq.ParquetWriter(target, SCHEMA, compression="zstd", use_dictionary=["day"]) as out,
        ):
            for group in range(file.num_row_groups):
                table = file.read_row_group(group, columns=self.columns, use_threads=self.threads > 1)
                scores = self.model.predict(self.model.from_arrow(table))
                out.write_table(table.select(KEYS).append_column(SCORE, pa.array(scores)).cast(SCHEMA))
            return file.metadata.num_rows  # type: ignore[no-any-return]


class Bare:
    """The loop, warm: processes are up and the model is loaded before a run."""

    def __init__(self, job: Job, variant: str) -> None:
        self._job = job
        self._variant = variant
        self._pool: Pool | None = None
        self._here: Scorer | None = None

    def start(self) -> None:
        if self._variant == "a process per core":
            context = multiprocessing.get_context("spawn")
            self._pool = context.Pool(self._job.cores, initializer=_load, initargs=(self._job.to_json(),))
            return
        at_once = self._job.cores if self._variant == "a thread per core" else 1
        self._here = Scorer(self._job, threads=self._job.cores // at_once)
        self._pool = ThreadPool(at_once)

    def run(self, output: Path) -> Path:
        output.mkdir(parents=True)
        tasks = [(file, output / file.name) for file in self._job.files]
        score = _score if self._here is None else self._here.score_file
        rows = self._pool.starmap(score, tasks, chunksize=1) if self._pool else []
        if sum(rows) != self._job.rows:
            raise RuntimeError(f"expected {self._job.rows} rows, read {rows}")
        return output

    def stop(self) -> None:
        if self._pool is not None:
            self._pool.terminate()
            self._pool.join()


_scorer: Scorer | None = None


def _load(job: str) -> None:
    global _scorer  # noqa: PLW0603 - a pool's initializer has no other place
    os.environ["OMP_NUM_THREADS"] = "1"
    _scorer = Scorer(Job.from_json(job), threads=1)


def _score(source: Path, target: Path) -> int:
    if _scorer is None:
        raise RuntimeError("the pool's initializer has not run")
    return _scorer.score_file(source, target)
