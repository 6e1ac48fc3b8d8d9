"""What Spark's and MLflow's own documentation advise for scoring a DataFrame.

- predict_batch_udf (https://spark.apache.org/docs/4.3.0/api/python/reference/api/pyspark.ml.functions.predict_batch_udf.html):
  the model is loaded once per worker by the wrapper's cache; many scalar columns go in as one struct or one array,
  a tensor as a flat array with `input_tensor_shapes`. Both groupings are tried.
- mlflow.pyfunc.spark_udf (https://mlflow.org/docs/latest/python_api/mlflow.pyfunc.html#mlflow.pyfunc.spark_udf):
  `env_manager="local"`, the input as a struct of the signature's columns, the type of the result stated.
- mapInPandas (https://spark.apache.org/docs/4.3.0/api/python/tutorial/sql/arrow_pandas.html#map): a function over an
  iterator of frames, which loads the model once per worker process and keeps it.

All get Spark's own compiler settings and more memory than Lockstep's profile has, the workers are reused, and Arrow
batches have Spark's default of 10,000 rows, or fewer where the documentation advises so for wide rows.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.job import Job
from benchmarks.systems.spark_session import start_session
from benchmarks.workloads.workload import KEYS, SCORE, Model, Workload, find_workload

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import DataFrame, SparkSession

PEER_CONF: dict[str, str | None] = {"spark.driver.memory": "4g", "spark.driver.extraJavaOptions": None}
ARROW_ROWS = 10_000


class SparkPeer:
    """Reads the files with Spark, adds the score, writes with Spark. Subclasses say how the score comes about."""

    spark: "SparkSession"

    def __init__(self, job: Job, variant: str) -> None:
        self.job = job
        self.variant = variant
        self.workload: Workload = find_workload(job.workload)

    def start(self) -> None:
        arrow_rows = {"spark.sql.execution.arrow.maxRecordsPerBatch": str(min(ARROW_ROWS, self.workload.batch_rows))}
        self.spark = start_session(type(self).__name__, cores=self.job.cores, conf={**PEER_CONF, **arrow_rows})
        self.prepare()

    def prepare(self) -> None:
        """Make what outlives a run."""

    def score(self, frame: "DataFrame") -> "DataFrame":
        """Return keys and score of the input columns."""
        raise NotImplementedError

    def run(self, output: Path) -> Path:
        frame = self.spark.read.parquet(self.job.data).select(*KEYS, *self.workload.inputs)
        self.score(frame).write.option("compression", "zstd").parquet(str(output))
        return output

    def stop(self) -> None:
        self.spark.stop()


class PredictBatchUdf(SparkPeer):
    """`pyspark.ml.functions.predict_batch_udf`."""

    def prepare(self) -> None:
        from pyspark.ml.functions import predict_batch_udf
        from pyspark.sql.types import DoubleType

        shape = self.workload.tensor_shape
        if shape is None and len(self.workload.inputs) > 1 and self.variant == "array":
            shape = (len(self.workload.inputs),)
        self.udf = predict_batch_udf(
            _make_predict(self.job.workload, self.job.model),
            return_type=DoubleType(),
            batch_size=min(ARROW_ROWS, self.workload.batch_rows),
            input_tensor_shapes=[list(shape)] if shape else None,
        )

    def score(self, frame: "DataFrame") -> "DataFrame":
        from pyspark.sql.functions import array, struct

        names = self.workload.inputs
        grouped = array if self.variant == "array" else struct
        argument = frame[names[0]] if len(names) == 1 else grouped(*names)
        return frame.select(*KEYS, self.udf(argument).alias(SCORE))


class SparkUdf(SparkPeer):
    """`mlflow.pyfunc.spark_udf`."""

    def prepare(self) -> None:
        import mlflow

        mlflow.set_tracking_uri(self.job.tracking_uri)
        self.udf = mlflow.pyfunc.spark_udf(
            self.spark, f"models:/{self.job.model_name}/{self.job.model_version}", result_type="double",
            env_manager="local",
        )  # fmt: skip

    def score(self, frame: "DataFrame") -> "DataFrame":
        from pyspark.sql.functions import struct

        return frame.select(*KEYS, self.udf(struct(*self.workload.inputs)).alias(SCORE))


class MapInPandas(SparkPeer):
    """`DataFrame.mapInPandas`."""

    def score(self, frame: "DataFrame") -> "DataFrame":
        function = _frames_scorer(self.job.workload, self.job.model)
        return frame.mapInPandas(function, f"day date, id long, {SCORE} double")


@lru_cache(maxsize=1)
def loaded(workload: str, model: str) -> Model:
    """Load the model once in this process, for one thread."""
    import torch

    torch.set_num_threads(1)
    return find_workload(workload).load(Path(model))


def _make_predict(workload: str, folder: str) -> Callable[[], Callable[[Any], Any]]:
    def make_predict() -> Callable[[Any], Any]:
        model = loaded(workload, folder)

        def predict(inputs: Any) -> Any:
            return model.predict(model.from_numpy(inputs))

        return predict

    return make_predict


def _frames_scorer(workload: str, folder: str) -> "Callable[[Iterator[pd.DataFrame]], Iterator[pd.DataFrame]]":
    def score(frames: "Iterator[pd.DataFrame]") -> "Iterator[pd.DataFrame]":
        model = loaded(workload, folder)
        for frame in frames:
            yield frame[list(KEYS)].assign(**{SCORE: model.predict(model.from_pandas(frame))})

    return score
