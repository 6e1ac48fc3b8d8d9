"""`lockstep run` as a user runs it: real spark-submit, real registry, real warehouse."""

import json
import subprocess
from pathlib import Path

import mlflow.pyfunc
import pandas as pd
import pyarrow.parquet as pq
import pytest
from world import GOOD, OTHER_GOOD, ROWS, World

DAY, NEXT = "2024-01-02", "2024-01-03"


@pytest.fixture(scope="module")
def first(world: World) -> dict[str, object]:
    """The facts of the first run of a day."""
    return world.score(DAY)


def test_every_row_is_published_with_its_model(world: World, first: dict[str, object]) -> None:
    rows = world.published(DAY)
    assert [row[0] for row in rows] == list(range(ROWS))
    assert {row[2] for row in rows} == {GOOD}
    assert {row[3] for row in rows} == {Path(str(first["run_folder"])).name}


def test_scores_equal_plain_mlflow(world: World, first: dict[str, object]) -> None:
    mlflow.set_tracking_uri(f"sqlite:///{world.home}/mlflow/mlflow.db")
    model = mlflow.pyfunc.load_model("models:/churn@champion")
    frame = pq.read_table(world.day_file(DAY), partitioning=None).to_pandas()
    expected = model.predict(frame[["city", "age", "spend"]])["risk"]
    published = pd.Series([row[1] for row in world.published(DAY)])
    pd.testing.assert_series_equal(published, expected, check_names=False, rtol=0, atol=1e-6)


def test_the_run_folder_tells_all(first: dict[str, object]) -> None:
    folder = Path(str(first["run_folder"]))
    expected = {"plan.json", "claim.json", "input.json", "gate.json", "manifest.json", "audit.json", "publication.json"}
    assert expected | {"report.html"} <= {p.name for p in folder.iterdir()}
    assert (folder / "gx" / "audit" / "index.html").is_file()
    plan = json.loads((folder / "plan.json").read_text())
    assert plan["model"]["version"] == GOOD
    assert len(plan["model"]["digest"]) == 64


def test_the_second_run_changes_nothing_and_the_ledger_says_so(world: World, first: dict[str, object]) -> None:
    before = world.query(f"SELECT * FROM churn_scores WHERE day = '{DAY}' ORDER BY id")
    again = world.score(DAY)
    assert again["run_folder"] == first["run_folder"]
    assert world.query(f"SELECT * FROM churn_scores WHERE day = '{DAY}' ORDER BY id") == before
    where = f"partition_date = '{DAY}' AND table_name = 'churn_scores'"
    outcomes = world.query(f"SELECT outcome FROM lockstep_ledger WHERE {where} ORDER BY entry")
    assert [o for (o,) in outcomes] == ["published", "noop"]


def test_another_version_replaces_the_partition_whole(world: World, first: dict[str, object]) -> None:
    world.score(DAY, "--model-version", str(OTHER_GOOD))
    rows = world.published(DAY)
    assert len(rows) == ROWS
    assert {row[2] for row in rows} == {OTHER_GOOD}
    world.score(DAY)
    assert {row[2] for row in world.published(DAY)} == {GOOD}, "asking for the champion again brings it back"


def test_a_model_is_chosen_by_alias_by_version_or_by_what_is_live(world: World, first: dict[str, object]) -> None:
    def resolve(*args: str) -> "subprocess.CompletedProcess[str]":
        return world.run("model", "resolve", "churn", "--json", *args)

    world.score(DAY, "--model-version", str(OTHER_GOOD))
    published = ("--model", "as-published", "--date", DAY)
    asked = {(): GOOD, ("--model", "@champion"): GOOD, ("--model", str(OTHER_GOOD)): OTHER_GOOD, published: OTHER_GOOD}
    for arguments, version in asked.items():
        assert json.loads(resolve(*arguments).stdout)["version"] == version
    for arguments, code, message in (
        (("--model", "champion"), 6, "names no model version; expected an alias such as '@champion'"),
        (("--model", "as-published"), 6, "needs the day: give --date"),
        (("--model", "as-published", "--date", "2024-01-06"), 6, "nothing of that day is live. Nothing was scored"),
        (("--model", "@nobody"), 5, "nobody"),
        (("--model", "99"), 5, "99"),
    ):
        refused = resolve(*arguments)
        assert refused.returncode == code, refused.stderr
        assert message in refused.stderr
    world.score(DAY)


def test_an_alias_moves_once_and_only_from_where_it_was(world: World, first: dict[str, object]) -> None:
    def promote(version: int, *args: str) -> tuple[int, dict[str, object]]:
        done = world.run("model", "promote", "churn", "--model", str(version), *args, "--json")
        return done.returncode, json.loads(done.stdout.splitlines()[-1])

    def champion() -> int:
        return int(json.loads(world.run("model", "resolve", "churn", "--json").stdout)["version"])

    code, would = promote(OTHER_GOOD, "--dry-run")
    assert (code, would["version"], would["before"], would["moved"]) == (0, OTHER_GOOD, GOOD, False)
    assert champion() == GOOD
    nothing = world.run("model", "promote", "churn", "--model", "as-published")
    assert (nothing.returncode, "as-published is of one day" in nothing.stderr) == (2, True), nothing.stderr
    code, refused = promote(OTHER_GOOD, "--expect", str(OTHER_GOOD + 7))
    assert (code, refused["error"]) == (5, "AliasMoved")
    assert champion() == GOOD
    for moved in (True, False):  # the second: as if the answer to the first was lost
        code, done = promote(OTHER_GOOD, "--expect", str(GOOD))
        assert (code, done["moved"], champion()) == (0, moved, OTHER_GOOD)
    assert promote(GOOD)[0] == 0
    assert champion() == GOOD


def test_a_rollback_brings_back_rows_and_alias(world: World, first: dict[str, object]) -> None:
    registry = f"sqlite:///{world.home}/mlflow/mlflow.db"
    client = mlflow.MlflowClient(registry, registry)
    undo = ("rollback", "churn", "--model-version", str(OTHER_GOOD), "--with-alias")

    def champion() -> int:
        return int(client.get_model_version_by_alias("churn", "champion").version)

    client.set_registered_model_alias("churn", "champion", str(OTHER_GOOD))
    world.score(DAY)
    assert {row[2] for row in world.published(DAY)} == {OTHER_GOOD}
    dry = world.run(*undo, "--dry-run")
    assert f"would point alias champion of churn at version {GOOD}" in dry.stdout, dry.stderr
    assert (champion(), {row[2] for row in world.published(DAY)}) == (OTHER_GOOD, {OTHER_GOOD})
    for before in (OTHER_GOOD, OTHER_GOOD, GOOD):  # the second: as if the first was killed before it moved the alias
        client.set_registered_model_alias("churn", "champion", str(before))
        done = world.run(*undo)
        assert done.returncode == 0, done.stderr
        assert (champion(), {row[2] for row in world.published(DAY)}) == (GOOD, {GOOD})
    outcomes = world.query(f"SELECT outcome FROM lockstep_ledger WHERE partition_date = '{DAY}' ORDER BY entry")
    assert [outcome for (outcome,) in outcomes if outcome == "restored"] == ["restored"]


def test_the_reporting_table_follows(world: World, first: dict[str, object]) -> None:
    done = world.run("report", "table", "by_city", "--json")
    assert done.returncode == 0, done.stderr
    assert "mean_risk" in done.stdout


def test_several_days_and_a_dry_run(world: World) -> None:
    dry = world.run("run", "churn", "--date", NEXT, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "score and publish" in dry.stdout
    assert world.published(NEXT) == []
    done = world.run("run", "churn", "--from", NEXT, "--to", "2024-01-04")
    assert done.returncode == 0, done.stderr
    assert len(world.published(NEXT)) == len(world.published("2024-01-04")) == ROWS


def test_steps_one_by_one(world: World) -> None:
    planned = world.run("step", "plan", "churn", "--date", "2024-01-05", "--json")
    facts = json.loads(planned.stdout.splitlines()[-1])
    assert facts["already_live"] is False
    too_early = world.run("step", "publish", "--run-folder", facts["run_folder"])
    assert too_early.returncode == 9
    assert "Run the earlier steps first" in too_early.stderr
    for step in ("materialize", "gate", "score", "audit", "publish", "report"):
        done = world.run("step", step, "--run-folder", facts["run_folder"], "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout.splitlines()[-1]) is not None
    assert len(world.published("2024-01-05")) == ROWS
