import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.job import Job, file_rows
from benchmarks.prepare import write_data
from benchmarks.systems.bare import Bare
from benchmarks.workloads.image import Image
from benchmarks.workloads.mlp import Mlp
from benchmarks.workloads.trees import Trees
from benchmarks.workloads.workload import WORKLOADS, Workload, find_workload

SMALL_MLP = Mlp("mlp20", "small", rows=100, rows_per_file=50, columns=20)


def test_rows_are_spread_evenly() -> None:
    assert file_rows(10, rows_per_file=100) == [2, 2, 1, 1, 1, 1, 1, 1]
    many = file_rows(4_000_001, rows_per_file=400_000)
    assert (len(many), sum(many), max(many) - min(many)) == (11, 4_000_001, 1)
    assert sum(file_rows(3, rows_per_file=100)) == 3


@pytest.mark.parametrize("name", WORKLOADS)
def test_every_workload_is_found(name: str) -> None:
    workload = find_workload(name)
    assert workload.name == name
    assert workload.rows > 0


def test_data_are_the_same_each_time_and_every_id_is_there_once(tmp_path: Path) -> None:
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
        write_data(SMALL_MLP, 100, tmp_path / folder)
    first, second = (pq.read_table(tmp_path / folder) for folder in ("first", "second"))
    assert first.equals(second)
    assert first.column("id").to_pylist() == list(range(100))
    assert first.column_names == ["day", "id", *SMALL_MLP.inputs]
    assert pa.types.is_date32(first.schema.field("day").type)
    assert len(list((tmp_path / "first").iterdir())) == 8


@pytest.mark.parametrize("workload", [SMALL_MLP, Trees(), Image()], ids=lambda w: w.name)
def test_a_model_scores_alike_whatever_form_a_batch_has(tmp_path: Path, workload: Workload) -> None:
    workload.save(tmp_path)
    model = workload.load(tmp_path)
    batch = pa.table(workload.features(np.random.default_rng(0), 100))
    frame = batch.to_pandas()
    array = frame.to_numpy() if workload.tensor_shape is None else np.stack(list(frame[workload.inputs[0]]))
    scores = model.predict(model.from_arrow(batch))
    assert scores.shape == (100,)
    assert scores.std() > 1e-3  # else a wrong order would go unnoticed
    assert np.allclose(scores, model.predict(model.from_pandas(frame)), atol=1e-6)
    assert np.allclose(scores, model.predict(model.from_numpy(array)), atol=1e-6)


@pytest.mark.parametrize("variant", ["a thread per core", "all threads on one file"])
def test_the_bare_loop_writes_every_row(tmp_path: Path, variant: str) -> None:
    data, model = tmp_path / "data", tmp_path / "model"
    for folder in (data, model):
        folder.mkdir()
    write_data(SMALL_MLP, 100, data)
    SMALL_MLP.save(model)
    job = Job("mlp20", 100, 1, str(data), str(model), "", "mlp20", 1, "")
    bare = Bare(job, variant)
    bare.start()
    written = pq.read_table(bare.run(tmp_path / "out"))
    bare.stop()
    assert written.column_names == ["day", "id", "score"]
    assert written.num_rows == 100
    assert all(math.isfinite(score) for score in written.column("score").to_pylist())
