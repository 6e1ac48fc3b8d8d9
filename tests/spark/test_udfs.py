"""The UDFs through a real session: column form and SQL give the Scorer's own bits."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyspark.sql import SparkSession

from lockstep.registry.artifact import artifact_digest
from lockstep.registry.loading import load_scorer
from lockstep.run.plan import Column, ModelIdentity
from udfs.column import identity_columns, score_column

MLMODEL = """\
signature:
  inputs: '[{"type": "string", "name": "city"}, {"type": "double", "name": "age"}]'
  outputs: '[{"type": "double", "name": "risk"}]'
metadata: {lockstep: {format: 1, backend: torch, block_rows: 32}}
"""
ENCODING = '{"categorical": [{"name": "city", "values": ["bern", "oslo"]}], "numeric": ["age"], "output": "risk"}'


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


def test_column_form_and_sql_equal_the_scorer(spark: SparkSession, model: ModelIdentity, tmp_path: Path) -> None:
    rows = [(i, ["bern", "oslo", "rome", None][i % 4], None if i % 7 == 0 else float(i)) for i in range(301)]
    frame = spark.createDataFrame(rows, "id int, city string, age double").repartition(3)
    score = score_column(model, str(tmp_path))
    by_column = {r["id"]: r["risk"] for r in frame.withColumn("risk", score(*identity_columns(model))).collect()}
    spark.udf.register("score_m", score)
    frame.createOrReplaceTempView("people")
    by_sql = {r["id"]: r["risk"] for r in spark.sql("SELECT id, score_m(city, age) AS risk FROM people").collect()}

    columns = {"city": [row[1] for row in rows], "age": pa.array([row[2] for row in rows], pa.float64())}
    expected = load_scorer(Path(model.location)).score(pa.RecordBatch.from_pydict(columns)).values
    assert by_column == by_sql
    for i, value in enumerate(expected):
        assert by_column[i] == (None if np.isnan(value) else value)
    assert sum(value is None for value in by_column.values()) == int(np.isnan(expected).sum()) > 0
