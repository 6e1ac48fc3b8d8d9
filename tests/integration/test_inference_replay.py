"""The batch scores the rows of an inference log again, and drift monitoring reads it: real Spark over real logs."""

import datetime as dt
import hashlib
import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from endpoints import JSON, serving
from inference_logs import ask, configured, fill, logged, replay, rows
from load import until
from world import GOOD, NOT_A_NUMBER, OTHER_GOOD, World

SALT = "a secret that is long enough"


@pytest.fixture(scope="module")
def filled(world: World) -> World:
    """A world with the log of an endpoint that has stopped."""
    fill(world)
    return world


@pytest.mark.slow
def test_the_batch_scores_the_logged_rows_to_the_same_bits(filled: World) -> None:
    done, facts = replay(filled, "--date", dt.datetime.now(dt.UTC).date().isoformat())
    assert done.returncode == 0, done.stderr
    assert (facts["rows_logged"], facts["rows_compared"], facts["differing_rows"]) == (500, 500, 0)
    assert (facts["equal"], facts["max_abs_difference"], facts["not_replayable"]) == (True, 0.0, {})
    assert [(arm["version"], arm["rows"]) for arm in facts["arms"]] == [(GOOD, 400), (OTHER_GOOD, 100)]
    assert list((filled.home / "replays").iterdir()) == []
    assert filled.query("SELECT 1 FROM information_schema.tables") == []  # nothing was published or claimed


@pytest.mark.slow
def test_a_logged_value_that_was_changed_is_found(filled: World, tmp_path: Path) -> None:
    tampered = tmp_path / "log"
    shutil.copytree(filled.home / "inference_log", tampered)
    file = next(path for path in tampered.glob("*/*/*/v1-*.parquet"))
    changed = change(file, "risk", 3, lambda value: float(np.nextafter(value, 1)))
    change(file, "spend", 7, lambda value: value + 50.0)
    done = filled.run("parity", "replay", "--log", str(tampered), "--spec", "churn")
    assert done.returncode == 10, done.stderr
    told = " ".join(done.stdout.split())
    assert "rows compared 400" in told
    assert "differing rows 2" in told
    assert "NOT EQUAL" in told
    assert f"request {changed['request_id']} row {changed['row']} (log_id {changed['log_id']}): risk logged" in told
    [kept] = (filled.home / "replays").iterdir()
    shutil.rmtree(kept)


def change(file: Path, column: str, row: int, how: Callable[[Any], Any]) -> dict[str, Any]:
    """Change one value of a file; return its row."""
    table = pq.read_table(file, partitioning=None)
    values = table[column].to_pylist()
    values[row] = how(values[row])
    place = table.column_names.index(column)
    pq.write_table(table.set_column(place, table.schema.field(column), pa.array(values)), file)
    found: dict[str, Any] = table.slice(row, 1).to_pylist()[0]
    return found


@pytest.mark.slow
def test_what_is_redacted_is_nowhere_and_is_not_replayed(world: World, tmp_path: Path) -> None:
    log, salt = tmp_path / "log", tmp_path / "salt"
    salt.write_text(SALT)
    policies = {"city": "hash", "age": "null", "spend": "drop", "client": "drop"}
    config = configured(world, path=str(log), salt_file=str(salt), columns=policies, flush_s=0.1)
    with serving(world, spec=config) as endpoint:
        scores = ask(endpoint, "r", 0, 50)
        until(lambda: any(path.stat().st_size > 4000 for path in (log / ".open").iterdir()))
        assert endpoint.stop(signal.SIGTERM) == 0
    found = logged(log)
    key = hashlib.blake2b(SALT.encode()).digest()
    cities = [each["city"] for each in rows(0, 50)]
    hashes = [None if c is None else hashlib.blake2b(c.encode(), digest_size=16, key=key).hexdigest() for c in cities]
    assert [each["city"] for each in found] == hashes
    assert [each["risk"] for each in found] == scores
    assert {each["age"] for each in found} == {None}
    assert not {"spend", "client"} & found[0].keys()
    table = pq.read_table(next(log.rglob("*.parquet")), partitioning=None)
    everything = str(table.to_pydict())
    assert not [city for city in cities if city is not None and city in everything]
    done, facts = replay(world, "--log", str(log))
    assert done.returncode == 6
    [(why, count)] = facts["not_replayable"].items()
    assert (why, count) == ("churn version 1: inputs were redacted: city (hash), age (null), spend (drop)", 50)
    assert "no row of the log" in done.stderr


@pytest.mark.slow
def test_rows_without_a_score_are_there_with_the_reason_and_the_batch_has_none_either(
    world: World, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    config = configured(world, model={"version": NOT_A_NUMBER}, path=str(log))
    with serving(world, spec=config) as endpoint:
        headers = {**JSON, "x-request-id": "bad"}
        status, _, _ = endpoint.ask("/invocations", {"dataframe_records": rows(0, 4)}, headers)
        assert status == 500
        assert endpoint.stop(signal.SIGTERM) == 0
    found = logged(log)
    assert [each["city"] for each in found] == [each["city"] for each in rows(0, 4)]
    assert {each["risk"] for each in found} == {None}
    assert {each["reason"] for each in found} == {"not_finite: the model returned a value that is not finite"}
    assert {each["total_s"] for each in found} == {None}  # no answer was given
    done, facts = replay(world, "--log", str(log))
    assert done.returncode == 0, done.stderr
    assert [(arm["rows"], arm["without_score"], arm["differing_rows"]) for arm in facts["arms"]] == [(4, 4, 0)]


@pytest.mark.slow
def test_drift_monitoring_reads_the_log_as_any_table(filled: World) -> None:
    folder = filled.home / "models" / "churn_online"
    folder.mkdir(parents=True)
    shutil.copytree(filled.home / "models" / "churn" / "checks", folder / "checks")
    (folder / "checks" / "gate.yaml").write_text(GATE)
    (folder / "scoring.yaml").write_text(ONLINE_SPEC.format(log=filled.home / "inference_log" / "churn"))
    day = dt.datetime.now(dt.UTC).date().isoformat()
    done = filled.run("run", "churn_online", "--date", day, "--json")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout.splitlines()[-1])
    drift = pq.read_table(Path(facts["run_folder"]) / "drift.parquet").to_pylist()
    training = {(each["column_name"], each["metric"]): each for each in drift if each["reference"] == "training"}
    assert {column for column, _ in training} == {"city", "age", "spend", "risk"}
    assert {each["row_count"] for each in training.values()} == {500}
    assert training["city", "psi"]["reading"] == "stable"
    assert training["age", "psi"]["value"] < 0.1


GATE = """\
description: Rows that were asked for.
expectations:
  - {expectation: expect_compound_columns_to_be_unique, columns: [date, log_id], why: one row for each that was asked}
"""
ONLINE_SPEC = """\
name: churn_online
description: What the endpoint was asked, for its drift.
model: {{name: churn, alias: champion}}
schedule: {{cron: "0 2 * * *", timezone: UTC, start: 2024-01-01}}
input:
  table: {{path: {log}}}
partition: {{column: date}}
key: [date, log_id]
passthrough: [request_id, row]
output: {{column: risk}}
publish: {{table: churn_online}}
limits: {{max_quarantined_fraction: 0.01, timeout_s: 300}}
drift:
  features: {{training: {{psi: 0.25}}}}
"""
