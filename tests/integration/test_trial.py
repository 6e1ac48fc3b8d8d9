"""Champion and challengers as a user runs them: one `lockstep run`, real Spark, and one challenger of each kind."""

import json
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from world import CONSTANT, GOOD, NOT_A_NUMBER, OTHER_GOOD, ROWS, World

from lockstep.registry.loading import load_scorer
from lockstep.registry.resolve import resolve_model
from lockstep.run.folder import RunFolder
from lockstep.scoring.units import read_unit

DAY = "2024-01-02"
ALIASES = {"candidate": OTHER_GOOD, "empty": NOT_A_NUMBER, "itself": GOOD, "constant": CONSTANT}
TRIAL = """\
trial:
  segments: [segment]
  challengers:
    - {alias: candidate, table: churn_candidate}
    - {alias: empty}
    - {alias: itself}
    - {alias: constant}
    - {alias: absent}
"""


@pytest.fixture(scope="module")
def tried(world: World) -> dict[str, Any]:
    """The facts of a run with challengers."""
    registry = f"sqlite:///{world.home}/mlflow/mlflow.db"
    client = mlflow.MlflowClient(registry, registry)
    for alias, version in ALIASES.items():
        client.set_registered_model_alias("churn", alias, str(version))
    spec = world.home / "models" / "churn" / "scoring.yaml"
    spec.write_text(spec.read_text() + TRIAL)
    return world.score(DAY)


def test_the_champion_is_published_and_each_challenger_is_told_of(world: World, tried: dict[str, Any]) -> None:
    assert {row[2] for row in world.published(DAY)} == {GOOD}
    found = tried["steps"]["compare"]["challengers"]
    assert (found["candidate"]["compared"], found["candidate"]["challenger_bad"]) == (ROWS, 0)
    assert (found["empty"]["compared"], found["empty"]["challenger_bad"]) == (0, ROWS)
    assert found["itself"]["failure"] == "it is the champion itself: there is nothing to compare"
    assert found["absent"]["failure"] == "the alias does not exist"
    shown = world.run("trial", "show", "churn", "--json")
    assert {one["alias"]: one["version"] for one in json.loads(shown.stdout)} == {**ALIASES, "absent": 0}
    assert "On trial" in Path(tried["report"]).read_text()


def test_shadow_scores_are_the_bits_of_that_version(world: World, tried: dict[str, Any]) -> None:
    model = resolve_model(f"sqlite:///{world.home}/mlflow/mlflow.db", "churn", version=OTHER_GOOD)
    folder = RunFolder(Path(tried["run_folder"]))
    scorer, expected = load_scorer(Path(model.location)), dict[int, float]()
    for unit in folder.scoring_input(step="test").units:
        for batch in read_unit(folder.path, unit, columns=["id", "city", "age", "spend"], batch_rows=64):
            scores = scorer.score(batch).values
            expected.update(zip(batch.column("id").to_pylist(), scores.tolist(), strict=True))
    rows = world.query(f"SELECT id, risk, model_version FROM churn_candidate WHERE day = '{DAY}' ORDER BY id")
    assert np.array_equal([row[1] for row in rows], [expected[key] for key in range(ROWS)])
    assert {row[2] for row in rows} == {OTHER_GOOD}
    tables = {table for (table,) in world.query("SELECT DISTINCT table_name FROM lockstep_ledger")}
    shadows = {"churn_candidate", "churn_scores_empty", "churn_scores_constant"}
    assert {table for table in tables if "drift" not in table} == {"churn_scores", *shadows}


def test_again_nothing_is_scored_or_changed(world: World, tried: dict[str, Any]) -> None:
    before = world.query(f"SELECT * FROM churn_candidate WHERE day = '{DAY}' ORDER BY id")
    again = world.score(DAY)
    assert list(again["steps"]) == ["publish", "shadow", "report"]
    assert again["steps"]["shadow"]["challengers"]["candidate"]["outcome"] == "noop"
    assert world.query(f"SELECT * FROM churn_candidate WHERE day = '{DAY}' ORDER BY id") == before
