"""The UDFs through a real session: columns, SQL and streams give the Scorer's own bits."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyspark.errors import PythonException
from pyspark.sql import DataFrame, SparkSession

from lockstep.errors import RequestInvalid
from lockstep.registry.artifact import artifact_digest
from lockstep.registry.loading import load_scorer
from lockstep.run.plan import Column, ModelIdentity
from lockstep.scoring.reasons import NOT_FINITE
from lockstep.specs.settings import Settings
from udfs import register, score_column

MLMODEL = """\
signature:
  inputs: '[{"type": "string", "name": "city"}, {"type": "double", "name": "age"}]'
  outputs: '[{"type": "double", "name": "risk"}]'
metadata: {lockstep: {format: 1, backend: torch, block_rows: 32}}
"""
ENCODING = '{"categorical": [{"name": "city", "values": ["bern", "oslo"]}], "numeric": ["age"], "output": "risk"}'
ROWS = [(i, ["bern", "oslo", "rome", None][i % 4], None if i % 7 == 0 else float(i)) for i in range(301)]
SCHEMA = "id int, city string, age double"


class Network(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(3, 4)
        self.layer = torch.nn.Linear(5, 1)

    def forward(self, codes: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        both = torch.cat([self.embedding(codes[:, 0]), torch.nan_to_num(numbers) / 100], 1)
        # An age above 200 has no score.
        return torch.where(numbers[:, 0] > 200, torch.nan, torch.sigmoid(self.layer(both)[:, 0]))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelIdentity:
    folder = tmp_path_factory.mktemp("model")
    (folder / "artifacts").mkdir()
    (folder / "MLmodel").write_text(MLMODEL)
    (folder / "artifacts" / "encoding.json").write_text(ENCODING)
    torch.manual_seed(3)
    rows = torch.export.Dim("rows", min=1, max=1 << 20)
    example = (torch.zeros(8, 1, dtype=torch.int64), torch.zeros(8, 1))
    program = torch.export.export(Network().eval(), example, dynamic_shapes=({0: rows}, {0: rows}))
    torch.export.save(program, folder / "artifacts" / "network.pt2")
    inputs = (Column(name="city", dtype="string"), Column(name="age", dtype="double"))
    outputs = (Column(name="risk", dtype="double"),)
    digest = artifact_digest(folder)
    return ModelIdentity(name="m", version=1, digest=digest, location=str(folder), inputs=inputs, outputs=outputs)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings.from_env({"LOCKSTEP_HOME": str(tmp_path_factory.mktemp("home"))})


@pytest.fixture(scope="module")
def expected(model: ModelIdentity) -> dict[int, float | None]:
    columns = {"city": [row[1] for row in ROWS], "age": pa.array([row[2] for row in ROWS], pa.float64())}
    values = load_scorer(Path(model.location)).score(pa.RecordBatch.from_pydict(columns)).values
    assert np.isnan(values).sum() > 0
    return {i: None if np.isnan(value) else float(value) for i, value in enumerate(values)}


@pytest.fixture
def people(spark: SparkSession) -> DataFrame:
    frame = spark.createDataFrame(ROWS, SCHEMA).repartition(3)
    frame.createOrReplaceTempView("people")
    return frame


def scores(frame: DataFrame) -> dict[int, float | None]:
    return {row["id"]: row["risk"] for row in frame.collect()}


def test_a_column_has_the_scorers_bits(
    people: DataFrame, model: ModelIdentity, settings: Settings, expected: dict[int, float | None]
) -> None:
    score = score_column(model, settings=settings)
    assert scores(people.withColumn("risk", score(*score.columns))) == expected


def test_errors_say_why_a_row_has_no_score(
    people: DataFrame, model: ModelIdentity, settings: Settings, expected: dict[int, float | None]
) -> None:
    score = score_column(model, errors=True, settings=settings)
    rows = people.withColumn("scored", score(*score.columns)).select("id", "scored.*").collect()
    assert {row["id"]: row["risk"] for row in rows} == expected
    assert all(row["error"] == (NOT_FINITE if row["risk"] is None else None) for row in rows)


@pytest.mark.parametrize("arguments", ["city, age", "struct(*)", "struct(age, city)"])
def test_sql_has_the_scorers_bits(
    spark: SparkSession,
    people: DataFrame,
    model: ModelIdentity,
    settings: Settings,
    expected: dict[int, float | None],
    arguments: str,
) -> None:
    register(spark, model, settings=settings)
    assert scores(spark.sql(f"SELECT id, lockstep_score('m', {arguments}) AS risk FROM people")) == expected


def test_sql_names_the_models_that_are_registered(
    spark: SparkSession, people: DataFrame, model: ModelIdentity, settings: Settings
) -> None:
    register(spark, model, settings=settings)
    with pytest.raises(PythonException, match="lockstep_score got the model 'other'; registered: m"):
        spark.sql("SELECT lockstep_score('other', city, age) FROM people").collect()
    with pytest.raises(PythonException, match=r"has 2 inputs \(city, age\), got 1 columns"):
        spark.sql("SELECT lockstep_score('m', city) FROM people").collect()


def test_a_model_without_one_number_is_refused_in_sql(
    spark: SparkSession, model: ModelIdentity, settings: Settings
) -> None:
    embedding = model.model_copy(update={"outputs": (Column(name="vector", dtype="float", shape=(3,)),)})
    with pytest.raises(RequestInvalid, match="Register it by itself"):
        register(spark, embedding, settings=settings)


def test_a_stream_has_the_scorers_bits(
    spark: SparkSession,
    people: DataFrame,
    model: ModelIdentity,
    settings: Settings,
    expected: dict[int, float | None],
    tmp_path: Path,
) -> None:
    people.write.parquet(str(tmp_path / "in"))
    score = score_column(model, settings=settings)
    stream = spark.readStream.schema(SCHEMA).option("maxFilesPerTrigger", 1).parquet(str(tmp_path / "in"))
    query = (
        stream.withColumn("risk", score(*score.columns))
        .writeStream.format("parquet")
        .option("checkpointLocation", str(tmp_path / "checkpoint"))
        .trigger(availableNow=True)
        .start(str(tmp_path / "out"))
    )
    assert query.awaitTermination(120)
    assert len(query.recentProgress) > 1, "several micro-batches"
    assert scores(spark.read.parquet(str(tmp_path / "out"))) == expected
