"""A run over a table, from its plan to what was published: no Spark, no copy, the same steps."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from lockstep.data.snapshot import take_snapshot
from lockstep.errors import ColumnMissing, SourceFileChanged
from lockstep.run.folder import INPUT, PLAN, RunFolder
from lockstep.serving.batch_scores import read_batch
from lockstep.steps.audit import audit
from lockstep.steps.gate import gate
from lockstep.steps.materialize import materialize
from lockstep.steps.publish import publish
from tests.unit.steps.runs import DAY, km_risk, make_model, make_settings, make_spec, parcels, plan_run, score_run

pytestmark = pytest.mark.slow


def hive(where: Path, table: pa.Table) -> None:
    """Write a table in two folders of days, without the day inside."""
    for folder, some in ((f"day={DAY}", table), ("day=2024-03-06", table.slice(0, 1))):
        (where / folder).mkdir(parents=True)
        pq.write_table(some.drop_columns(["day"]), where / folder / "a.parquet", row_group_size=7)


def planned(root: Path, write: Any, **table: Any) -> RunFolder:
    """Plan a run over a table that `write` writes."""
    settings = make_settings(root)
    write(settings.data_root / "parcels", parcels())
    loaded = make_spec(root, input={"table": {"path": "parcels", **table}}, reporting={})
    model = make_model(root, loaded, version=1, training=parcels(500), score=km_risk)
    folder = plan_run(root, parcels(), loaded, model)
    folder.file(INPUT).unlink()
    shutil.rmtree(folder.file("input"))
    sources = take_snapshot(loaded.spec, DAY, settings.data_root)
    folder.write_json(PLAN, folder.plan(step="test").model_copy(update={"sources": sources}))
    return folder


@pytest.mark.parametrize(
    ("write", "table"),
    [
        (hive, {"format": "parquet"}),
        (lambda where, table: write_deltalake(where, table, partition_by=["day"]), {"format": "delta"}),
    ],
)
def test_every_step_of_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Any, table: dict[str, str]
) -> None:
    folder, settings = planned(tmp_path, write, **table), make_settings(tmp_path)
    monkeypatch.setattr("lockstep.steps.materialize.submit_job", lambda *_, **__: pytest.fail("Spark was started"))
    assert materialize(folder, settings) == {"rows": 40, "reused": False}
    assert materialize(folder, settings) == {"rows": 40, "reused": True}
    assert not folder.file("input").exists()
    first = gate(folder, settings)
    assert (first["passed"], first["rows"]) == (True, 40)
    score_run(folder)
    assert audit(folder, settings)["passed"]
    publish(folder, settings)
    batch = read_batch(folder)
    assert sorted(key[1] for key in batch.keys) == list(range(40))
    assert {key[0] for key in batch.keys} == {DAY}
    assert np.allclose(batch.scores, np.array(batch.features.column("km").to_pylist()) / 100)


def test_a_check_of_a_column_that_no_file_has(tmp_path: Path) -> None:
    folder, settings = planned(tmp_path, hive), make_settings(tmp_path)
    materialize(folder, settings)
    suite = folder.file("spec", "checks", "gate.yaml")
    suite.write_text(suite.read_text().replace("column: depot", "column: depots"))
    with pytest.raises(
        ColumnMissing, match=r"'depots' is missing in the input of partition 2024-03-05.*columns id, depot"
    ):
        gate(folder, settings)


def test_a_file_that_changes_after_the_units_were_planned(tmp_path: Path) -> None:
    folder, settings = planned(tmp_path, hive), make_settings(tmp_path)
    materialize(folder, settings)
    file = settings.data_root / "parcels" / f"day={DAY}" / "a.parquet"
    pq.write_table(parcels(41).drop_columns(["day"]), file)
    with pytest.raises(SourceFileChanged, match=r"a\.parquet changed after the run was planned"):
        gate(folder, settings)
    with pytest.raises(SourceFileChanged, match=r"Run the same command again"):
        score_run(folder)


def test_what_is_stored_is_small_and_readable(tmp_path: Path) -> None:
    folder = planned(tmp_path, hive)
    materialize(folder, make_settings(tmp_path))
    stored = json.loads(folder.file(INPUT).read_text())
    assert stored["columns"] == {"id": "int64", "depot": "string", "km": "double", "day": "string"}
    [piece] = stored["units"][0]["pieces"]
    assert (piece["constants"], piece["rows"], piece["where"]) == ({"day": "2024-03-05"}, 40, None)
