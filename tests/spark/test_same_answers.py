"""One partition, scored by the bulk job, by the column UDF, in SQL and by MLflow alone: no row differs."""

import datetime as dt
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema
from pyspark.sql import SparkSession
from sklearn.ensemble import HistGradientBoostingRegressor

from jobs.score import score
from lockstep.data.snapshot import take_snapshot
from lockstep.data.table_input import plan_table_input
from lockstep.registry.artifact import artifact_digest, read_artifact
from lockstep.run.folder import PLAN, RunFolder
from lockstep.run.plan import ModelIdentity, Plan
from lockstep.specs.settings import Settings
from lockstep.specs.spec import ScoringSpec
from tests.unit.registry import mlflow_models as models
from udfs import register, score_column

DAY, ROWS, FILES = dt.date(2024, 3, 5), 9_000, 3
INPUTS = Schema([ColSpec(DataType.double, name) for name in models.FEATURES])


def save_onnx(path: Path) -> None:
    outputs = Schema([ColSpec(DataType.float, "score")])
    network = models.graph(models.trained(outputs=1))
    mlflow.onnx.save_model(
        network, str(path), signature=ModelSignature(INPUTS, outputs), pip_requirements=["onnxruntime"]
    )


def save_trees(path: Path) -> None:
    frame = models.features(512)
    trees = HistGradientBoostingRegressor(max_iter=20).fit(frame, models.labels(frame)[:, 0])
    signature = ModelSignature(INPUTS, Schema([ColSpec(DataType.double, "score")]))
    mlflow.sklearn.save_model(
        trees, str(path), signature=signature, pip_requirements=["scikit-learn"], serialization_format="cloudpickle"
    )


@pytest.fixture(params=[save_onnx, save_trees], ids=["onnx", "trees"])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> ModelIdentity:
    path = tmp_path / "model"
    with models.quiet():
        request.param(path)
    signature = read_artifact(path, model="m").signature
    return ModelIdentity(
        name="m",
        version=1,
        digest=artifact_digest(path),
        location=str(path),
        inputs=signature.inputs,
        outputs=signature.outputs,
    )


@pytest.fixture
def rows(tmp_path: Path) -> pd.DataFrame:
    """The partition, written as several files with small row groups."""
    frame = models.features(ROWS, seed=7).assign(id=np.arange(ROWS), day=DAY)
    (tmp_path / "table").mkdir()
    for number, part in enumerate(np.array_split(np.arange(ROWS), FILES)):
        table = pa.Table.from_pandas(frame.iloc[part], preserve_index=False)
        pq.write_table(table, tmp_path / "table" / f"part-{number}.parquet", row_group_size=1_000)
    return frame


def bulk_scores(spark: SparkSession, model: ModelIdentity, root: Path) -> pd.Series:
    """Plan and run the very job."""
    spec = ScoringSpec.model_validate(
        {
            "name": "same",
            "model": {"name": "m"},
            "schedule": {"cron": "0 6 * * *", "start": DAY},
            "input": {"table": {"path": str(root / "table")}},
            "partition": {"column": "day"},
            "key": ["day", "id"],
            "output": {"column": "score"},
            "publish": {"table": "scores"},
        }
    )
    folder = RunFolder(root / "run")
    plan = Plan(
        run_key="same",
        partition=DAY,
        spec=spec,
        spec_hash="same",
        model=model,
        input_digest="same",
        sources=take_snapshot(spec, DAY, root),
        data_root=str(root),
        warehouse=str(root / "warehouse.duckdb"),
        cache_root=str(root / "cache"),
        code_version="same",
        planned_at=dt.datetime(2024, 3, 6, tzinfo=dt.UTC),
    )
    folder.write_json(PLAN, plan)
    assert spec.input.table is not None
    plan_table_input(folder, spec.input.table)
    assert score(spark, folder) == ROWS
    staged = [pq.read_table(folder.file(unit.staged)) for unit in folder.manifest(step="test").units]
    return pa.concat_tables(staged).to_pandas().set_index("id")["score"].sort_index()


def test_no_row_differs(spark: SparkSession, model: ModelIdentity, rows: pd.DataFrame, tmp_path: Path) -> None:
    settings = Settings.from_env({"LOCKSTEP_HOME": str(tmp_path / "home")})
    bulk = bulk_scores(spark, model, tmp_path)
    assert len(bulk) == ROWS

    frame = spark.read.parquet(str(tmp_path / "table"))
    frame.createOrReplaceTempView("rows_to_score")
    column = score_column(model, settings=settings)
    by_column = frame.withColumn("score", column(*column.columns)).select("id", "score").toPandas()
    register(spark, model, settings=settings)
    query = f"SELECT id, lockstep_score('m', {', '.join(models.FEATURES)}) AS score FROM rows_to_score"
    by_sql = spark.sql(query).toPandas()
    for other in (by_column, by_sql):
        scores = other.set_index("id")["score"].sort_index()
        # The column form returns float32: the bulk form's bits, rounded once.
        assert scores.to_numpy(np.float32).tobytes() == bulk.to_numpy(np.float32).tobytes()

    plain = models.mlflow_predict(Path(model.location), rows[[*models.FEATURES]])
    plain = plain["values"].to_numpy() if isinstance(plain, pd.DataFrame) else np.asarray(plain)
    assert np.abs(plain.reshape(-1) - bulk.to_numpy()).max() <= 1e-6
