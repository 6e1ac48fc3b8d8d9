"""Endpoints with an inference log: their configuration, questions to them, and what any reader of tables finds."""

import datetime as dt
import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import duckdb
import yaml
from endpoints import JSON, Endpoint, serving
from world import OTHER_GOOD, World, customers

DAY = dt.date(2024, 1, 3)
FEATURES = ["city", "age", "spend"]


def configured(world: World, *, workers: int = 1, model: dict[str, Any] | None = None, **log: Any) -> str:
    """Write a serving.yaml with a log; return the option that names it."""
    path = world.home / f"serving-{time.monotonic_ns()}.yaml"
    declared = {"models": [{"spec": "churn", **(model or {})}], "log": log, "workers": workers}
    path.write_text(yaml.safe_dump(declared))
    return f"--config={path}"


def rows(first: int, count: int) -> list[dict[str, Any]]:
    return customers(DAY).select(FEATURES).slice(first, count).to_pylist()


def ask(endpoint: Endpoint, name: str, first: int, count: int, *, version: int | None = None) -> list[float]:
    """Ask for rows, over /invocations or of one version over the Open Inference Protocol; return their scores."""
    headers = {**JSON, "x-request-id": name}
    asked = rows(first, count)
    if version is None:
        status, _, answer = endpoint.ask("/invocations", {"dataframe_records": asked}, headers)
        assert status == 200
        return [each["risk"] for each in answer["predictions"]]
    kinds = {"city": "BYTES", "age": "FP64", "spend": "FP64"}
    inputs = [
        {"name": n, "datatype": kinds[n], "shape": [count], "data": [each[n] for each in asked]} for n in FEATURES
    ]
    path = f"/v2/models/churn/versions/{version}/infer"
    status, _, answer = endpoint.ask(path, {"inputs": inputs}, headers)
    assert status == 200
    scores: list[float] = answer["outputs"][0]["data"]
    return scores


def logged(log: Path) -> list[dict[str, Any]]:
    """All rows of a log's files, as any reader of tables sees them."""
    if not list(log.glob("*/date=*/hour=*/*.parquet")):
        return []
    query = f"FROM read_parquet('{log}/*/*/*/*.parquet', union_by_name = true) ORDER BY request_id, row, log_id"
    found: list[dict[str, Any]] = duckdb.sql(query).to_arrow_table().to_pylist()
    return found


def replay(world: World, *args: str) -> "tuple[subprocess.CompletedProcess[str], dict[str, Any]]":
    done = world.run("parity", "replay", *args, "--json")
    assert done.stdout, done.stderr
    return done, json.loads(done.stdout.splitlines()[0])


def fill(world: World) -> dict[str, list[float]]:
    """Let an endpoint answer requests, and stop it; return its answers by request."""
    answers = {}
    with serving(world, spec=configured(world, model={"versions": [OTHER_GOOD]})) as endpoint:
        for number, (first, count) in enumerate([(0, 1), (1, 7), (8, 64), (72, 300), (372, 28)]):
            answers[f"r{number}"] = ask(endpoint, f"r{number}", first, count)
        answers["other"] = ask(endpoint, "other", 0, 100, version=OTHER_GOOD)
        _, _, text = endpoint.ask("/metrics")
        assert 'lockstep_log_dropped_total{log="inference"} 0.0' in text
        assert endpoint.stop(signal.SIGTERM) == 0
    return answers
