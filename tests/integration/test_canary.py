"""A canary as a user runs it: one day that two models answer, and one on which a bad challenger ends it.

Then the endpoint, which puts the customers of that day into the same arms.
"""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import mlflow
import pyarrow as pa
import pytest
from canary_calls import ask_grpc, ask_rest, metric
from endpoints import JSON, Endpoint, serving
from load import until
from world import CONSTANT, GOOD, NOT_A_NUMBER, OTHER_GOOD, ROWS, World

from lockstep.registry.resolve import resolve_model
from lockstep.scoring.arms import Split, salt_of
from lockstep.services.ports import free_port

DAY, NEXT = "2024-01-02", "2024-01-03"
TRIAL = """\
trial:
  challengers: [{alias: challenger}]
  canary:
    challenger: challenger
    ramp: {2024-01-02: 0.25}
"""
SERVING = """\
grpc_port: {port}
follow_s: 0.2
models: [{{spec: churn, routing: {{shadows: [constant], tolerance: 0.1}}}}]
log: {{flush_s: 0.1}}
"""
CUSTOMERS = range(0, ROWS, 5)


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


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def endpoint(world: World, runs: dict[str, dict[str, Any]], port: int) -> Iterator[Endpoint]:
    """An endpoint with the challenger of the first day, and the model that always says 0.5 as a shadow."""
    registry = f"sqlite:///{world.home}/mlflow/mlflow.db"
    client = mlflow.MlflowClient(registry, registry)
    client.set_registered_model_alias("churn", "challenger", str(OTHER_GOOD))
    client.set_registered_model_alias("churn", "constant", str(CONSTANT))
    config = world.home / "canary.yaml"
    config.write_text(SERVING.format(port=port))
    with serving(world, "--config", str(config), spec=None) as running:
        yield running


def test_the_endpoint_has_the_batchs_arms_over_rest_and_grpc(world: World, endpoint: Endpoint, port: int) -> None:
    versions = {row[0]: row[2] for row in world.published(DAY)}
    expected = [("challenger" if versions[n] == OTHER_GOOD else "champion", versions[n]) for n in CUSTOMERS]
    assert set(versions.values()) == {GOOD, OTHER_GOOD}
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        for _ in range(2):
            assert [ask_rest(endpoint, str(n))[0] for n in CUSTOMERS] == expected
            assert [ask_grpc(channel, json.dumps({"id": n})) for n in CUSTOMERS] == expected
    assert ask_rest(endpoint, None)[0] == ("champion", GOOD)
    unreadable = endpoint.ask("/invocations", b"{}", {**JSON, "X-Lockstep-Key": "Z\u00fcrich"})
    assert (unreadable[0], "must be ASCII" in unreadable[2]["message"]) == (400, True)
    listed = endpoint.ask("/v2/repository/index", b"{}")[2]
    assert [(each["version"], each["reason"].partition(":")[0]) for each in listed] == [
        (str(GOOD), ""),
        (str(OTHER_GOOD), "challenger"),
        (str(CONSTANT), "shadow_constant"),
    ]


def test_a_shadow_is_counted_as_by_hand(endpoint: Endpoint) -> None:
    """The shadow says 0.5 of every row, so its differences are those of the answers from that."""
    name, arm = "lockstep_shadow_rows_total", "shadow_constant"
    until(lambda: sum(metric(endpoint, name).values()) == sum(metric(endpoint, "lockstep_rows_total").values()))
    before = metric(endpoint, name)
    scores = [score for key in (None, "0", "1", "2") for score in ask_rest(endpoint, key, rows=7)[1]]
    until(lambda: sum(metric(endpoint, name).values()) == sum(before.values()) + 28)
    agreed = sum(abs(score - 0.5) <= 0.1 for score in scores)
    after = metric(endpoint, name)
    grown = {
        outcome: after.get((arm, outcome), 0) - before.get((arm, outcome), 0) for outcome in ("agreed", "differed")
    }
    assert grown == {"agreed": agreed, "differed": 28 - agreed}
    assert metric(endpoint, "lockstep_shadow_difference_count")[arm, ""] == sum(after.values())


def test_an_abort_ends_it_in_the_endpoint_too(world: World, endpoint: Endpoint) -> None:
    taken = next(n for n in CUSTOMERS if ask_rest(endpoint, str(n))[0][0] == "challenger")
    done = world.run("canary", "abort", "churn", "--reason", "a test")
    assert done.returncode == 0, done.stderr
    until(lambda: ask_rest(endpoint, str(taken))[0] == ("champion", GOOD))
    assert endpoint.ask("/v2/models/churn/versions/4/infer", b"{}")[0] == 404


def test_the_log_has_answers_and_shadows_by_their_arm(world: World, endpoint: Endpoint) -> None:
    import duckdb

    files = world.home / "inference_log"
    assert endpoint.stop(signal.SIGTERM) == 0  # which finishes the files
    arms = duckdb.sql(f"SELECT arm, model_version, count(*) FROM '{files}/**/*.parquet' GROUP BY 1, 2").fetchall()
    counts = {(arm, version): rows for arm, version, rows in arms}
    assert counts.keys() == {("champion", GOOD), ("challenger", OTHER_GOOD), ("shadow_constant", CONSTANT)}
    assert counts["shadow_constant", CONSTANT] == counts["champion", GOOD] + counts["challenger", OTHER_GOOD]
