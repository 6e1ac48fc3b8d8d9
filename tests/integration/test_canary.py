"""A canary as a user runs it: one day that two models answer, and one on which a bad challenger ends it."""

import json
from pathlib import Path
from typing import Any

import mlflow
import pyarrow as pa
import pytest
from world import GOOD, NOT_A_NUMBER, OTHER_GOOD, ROWS, World

from lockstep.registry.resolve import resolve_model
from lockstep.scoring.arms import Split, salt_of

DAY, NEXT = "2024-01-02", "2024-01-03"
TRIAL = """\
trial:
  challengers: [{alias: challenger}]
  canary:
    challenger: challenger
    ramp: {2024-01-02: 0.25}
"""


@pytest.fixture(scope="module")
def runs(world: World) -> dict[str, dict[str, Any]]:
    """A day with a good challenger, then one with a challenger that scores no row."""
    registry = f"sqlite:///{world.home}/mlflow/mlflow.db"
    client = mlflow.MlflowClient(registry, registry)
    spec = world.home / "models" / "churn" / "scoring.yaml"
    spec.write_text(spec.read_text() + TRIAL)
    done = {}
    for day, version in ((DAY, OTHER_GOOD), (NEXT, NOT_A_NUMBER)):
        client.set_registered_model_alias("churn", "challenger", str(version))
        done[day] = world.score(day)
    return done


def test_the_arm_is_the_challengers(world: World, runs: dict[str, dict[str, Any]]) -> None:
    model = resolve_model(f"sqlite:///{world.home}/mlflow/mlflow.db", "churn", version=OTHER_GOOD)
    places = Split(salt_of("churn", model.digest), ("id",)).positions(pa.table({"id": pa.array(range(ROWS))}))
    versions = [OTHER_GOOD if place < 0.25 else GOOD for place in places]
    assert [row[2] for row in world.published(DAY)] == versions
    told = runs[DAY]["steps"]["canary"]
    assert (told["outcome"], told["rows_challenger"]) == ("active", versions.count(OTHER_GOOD))


def test_a_bad_challenger_ends_it_before_a_row_is_live(world: World, runs: dict[str, dict[str, Any]]) -> None:
    told = runs[NEXT]["steps"]["canary"]
    assert (told["outcome"], told["version"], told["effective"]) == ("aborted", NOT_A_NUMBER, 0.0)
    rows = world.published(NEXT)
    assert {(row[2], row[3]) for row in rows} == {(GOOD, Path(runs[NEXT]["run_folder"]).name)}
    again = world.score(NEXT)
    assert (again["run_folder"], again["steps"]["publish"]["outcome"]) == (runs[NEXT]["run_folder"], "noop")
    status = json.loads(world.run("canary", "status", "churn", "--date", NEXT, "--json").stdout)
    assert (status["state"], status["version"], status["champion"]) == ("aborted", NOT_A_NUMBER, GOOD)
    assert world.published(NEXT) == rows
