"""What a system is, and all there are. Adding one adds a file and a line."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, Protocol

from benchmarks.job import Job


class System(Protocol):
    """A way to score Parquet to Parquet. Lives in a process of its own.

    A run reads all files of the job, scores every row and writes `day`, `id` and `score` (double) as Parquet,
    compressed with zstd; further columns are allowed.
    """

    def start(self) -> None:
        """Bring up whatever outlives a run: session, pool, cluster."""

    def run(self, output: Path) -> Path:
        """Do the whole job. Args: an absent folder to write to. Returns: where the Parquet files are."""

    def stop(self) -> None:
        """End all that was started."""


@dataclass(frozen=True)
class Entry:
    """How a system is made.

    Attributes:
        factory: "module:class" of a function from job and variant to the system.
        packages: Whose versions name the system's version.
        variants: Name of each way to set the system up -> environment variables of its process. All are tried, the
            fastest is measured.
    """

    factory: str
    packages: tuple[str, ...]
    variants: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: {"default": {}})

    @property
    def version(self) -> str:
        return ", ".join(f"{package} {metadata.version(package)}" for package in self.packages)


TWO_THREADS = {"OMP_NUM_THREADS": "2", "TOKENIZERS_PARALLELISM": "true"}
SYSTEMS = {
    "bare": Entry(
        "benchmarks.systems.bare:Bare",
        ("pyarrow", "torch"),
        {"a process per core": {}, "a thread per core": {}, "all threads on one file": TWO_THREADS},
    ),
    "lockstep": Entry("benchmarks.systems.lockstep_job:LockstepJob", ("lockstep",)),
    "predict_batch_udf": Entry(
        "benchmarks.systems.spark_peers:PredictBatchUdf", ("pyspark",), {"struct": {}, "array": {}}
    ),
    "spark_udf": Entry("benchmarks.systems.spark_peers:SparkUdf", ("mlflow", "pyspark")),
    "mapInPandas": Entry("benchmarks.systems.spark_peers:MapInPandas", ("pyspark",)),
    "ray": Entry("benchmarks.systems.ray_data:RayData", ("ray",), {"actors": {}, "tasks": {}}),
    "daft": Entry("benchmarks.systems.daft_frame:DaftFrame", ("daft",), {"threads": {}, "processes": {}}),
}


def make_system(name: str, job: Job, *, variant: str) -> System:
    """Make a system in this process; nothing is started yet."""
    module, factory = SYSTEMS[name].factory.split(":")
    made: Any = getattr(import_module(module), factory)
    return made(job, variant)  # type: ignore[no-any-return]
