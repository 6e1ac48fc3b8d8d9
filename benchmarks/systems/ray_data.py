"""Ray Data, as its guide to offline batch inference advises.

https://docs.ray.io/en/latest/data/batch_inference.html and .../performance-tips.html: only needed columns are read,
`map_batches` with a class whose constructor loads the model, one actor per core, batches in Arrow's own format. Such
actors live as long as one run, so each run pays their start. The variant "tasks" avoids that with stateless tasks in
reused worker processes that keep the model; the faster of the two is measured. Block order is not preserved, the
progress bars, the dashboard and usage statistics are off.
"""

import tempfile
from pathlib import Path

import pyarrow as pa
import ray
import ray.data

from benchmarks.job import Job, environment
from benchmarks.systems.spark_peers import loaded
from benchmarks.workloads.workload import KEYS, SCORE, find_workload

OBJECT_STORE_BYTES = 2 * 2**30
# With a whole core each, the actors would leave none to the tasks that read, and nothing would ever run.
ACTOR_CPUS = 0.5


class RayData:
    """A local cluster that outlives the runs."""

    def __init__(self, job: Job, variant: str) -> None:
        self._job = job
        self._variant = variant
        self._workload = find_workload(job.workload)

    def start(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="ray")  # its sockets need a short path
        ray.init(
            num_cpus=self._job.cores,
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES,
            log_to_driver=False,
            _node_ip_address="127.0.0.1",
            _temp_dir=self._folder.name,
            runtime_env={"env_vars": {"PYTHONPATH": environment()["PYTHONPATH"], "OMP_NUM_THREADS": "1"}},
        )
        ray.data.DataContext.get_current().enable_progress_bars = False

    def run(self, output: Path) -> Path:
        workload, job = self._workload, self._job
        files = [str(file) for file in job.files]
        frame = ray.data.read_parquet(files, columns=[*KEYS, *workload.inputs])
        if self._variant == "actors":
            scored = frame.map_batches(
                ScoreBatches,
                fn_constructor_args=(job.workload, job.model),
                compute=ray.data.ActorPoolStrategy(size=job.cores),
                num_cpus=ACTOR_CPUS,
                batch_size=workload.batch_rows,
                batch_format="pyarrow",
            )
        else:
            scored = frame.map_batches(
                score_batch,
                fn_args=(job.workload, job.model),
                batch_size=workload.batch_rows,
                batch_format="pyarrow",
            )
        scored.write_parquet(str(output), compression="zstd")
        return output

    def stop(self) -> None:
        ray.shutdown()
        self._folder.cleanup()


class ScoreBatches:
    """The stateful form."""

    def __init__(self, workload: str, model: str) -> None:
        self._names = (workload, model)
        loaded(*self._names)

    def __call__(self, batch: pa.Table) -> pa.Table:
        return score_batch(batch, *self._names)


def score_batch(batch: pa.Table, workload: str, model: str) -> pa.Table:
    """The stateless form: scores with the model that this process keeps."""
    scorer = loaded(workload, model)
    scores = scorer.predict(scorer.from_arrow(batch))
    return batch.select(list(KEYS)).append_column(SCORE, pa.array(scores))
