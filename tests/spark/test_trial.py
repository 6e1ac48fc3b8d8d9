"""Challengers through Spark: the champion's files are as without them, theirs as if each were the champion."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from lockstep.registry.loading import load_scorer
from lockstep.run.folder import MANIFEST, PLAN, RunFolder
from lockstep.run.plan import ModelIdentity
from lockstep.run.trials import FAILURE, TrialFailure, scored
from lockstep.scoring.engine import UnitScorer
from lockstep.steps.score import score_units_with_spark, write_manifest
from tests.integration.kill_runs import Template, content, make_model, make_template
from udfs.bulk import RESULT_SCHEMA, score_units

UNITS, UNIT_ROWS = 3, 600
STAMPS = ["model_version", "model_digest", "run_key", "scored_at"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelIdentity, ModelIdentity]:
    """Two versions of a real torch model."""
    root = tmp_path_factory.mktemp("artifacts")
    return make_model(root / "one", version=1), make_model(root / "two", version=2)


@pytest.fixture(scope="module")
def templates(
    models: tuple[ModelIdentity, ModelIdentity], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Template, Template]:
    """The same input, to be scored by the one and by the other."""
    limits = {"batch_rows": 128}
    one, two = (
        make_template(tmp_path_factory.mktemp("plan"), model, units=UNITS, unit_rows=UNIT_ROWS, limits=limits)
        for model in models
    )
    return one, two


def run(spark: SparkSession, folder: RunFolder, rows: int) -> None:
    udf = score_units(str(folder.path), device="cpu", run_rows=rows)
    score_units_with_spark(spark, folder, udf=udf, result_schema=RESULT_SCHEMA)


def run_here(folder: RunFolder, rows: int) -> None:
    """Score in this process, which gives the same bytes (see `test_score`)."""
    plan = folder.plan(step="test")
    units = UnitScorer(folder, plan, load_scorer(Path(plan.model.location)), baseline=None, run_rows=rows)
    for unit in folder.scoring_input(step="test").units:
        units.score(unit)
    write_manifest(folder)


def put_on_trial(folder: RunFolder, alias: str, model: ModelIdentity) -> RunFolder:
    own = folder.challenger(alias)
    plan = folder.plan(step="test")
    own.write_json(PLAN, plan.model_copy(update={"model": model, "run_key": f"of-{alias}"}))
    return own


def test_challengers_score_as_champions_would(
    spark: SparkSession,
    models: tuple[ModelIdentity, ModelIdentity],
    templates: tuple[Template, Template],
    tmp_path: Path,
) -> None:
    alone, other, together = templates[0].copy(tmp_path / "a"), templates[1].copy(tmp_path / "b"), tmp_path / "c"
    rows = templates[0].rows
    for folder in (alone, other):
        run_here(folder, rows)
    folder = templates[0].copy(together)
    own = put_on_trial(folder, "next", models[1])
    lost = put_on_trial(
        folder, "lost", models[1].model_copy(update={"location": str(tmp_path / "x"), "digest": "0" * 64})
    )
    run(spark, folder, rows)
    assert content(folder) == content(alone), "the champion's bytes"
    assert scored(folder)
    assert not lost.has(MANIFEST)
    assert lost.read_record(FAILURE, TrialFailure, step="test").stage == "score"

    theirs, wanted = own.manifest(step="test"), other.manifest(step="test")
    assert [unit.unit for unit in theirs.units] == [unit.unit for unit in wanted.units]
    for ours, alike in zip(theirs.units, wanted.units, strict=True):
        assert (ours.rows_in, ours.rows_scored, ours.reasons) == (alike.rows_in, alike.rows_scored, alike.reasons)
        found, expected = (pq.read_table(f.file(u.staged)) for f, u in ((own, ours), (other, alike)))
        assert found.drop_columns(STAMPS).equals(expected.drop_columns(STAMPS)), "bit for bit"
        assert found["model_version"].unique().to_pylist() == [2]
    before = {unit.unit: unit.staged for unit in folder.manifest(step="test").units}

    # A challenger that was planned after the champion had been scored catches up alone.
    late = put_on_trial(folder, "late", models[1])
    assert not scored(folder)
    audited = folder.file(MANIFEST).read_bytes()
    run(spark, folder, rows)
    assert folder.file(MANIFEST).read_bytes() == audited, "an audit that passed it still holds"
    assert {unit.unit: unit.staged for unit in folder.manifest(step="test").units} == before
    for ours, alike in zip(late.manifest(step="test").units, theirs.units, strict=True):
        found, expected = (pq.read_table(f.file(u.staged)) for f, u in ((late, ours), (own, alike)))
        assert found.drop_columns(STAMPS).equals(expected.drop_columns(STAMPS))
