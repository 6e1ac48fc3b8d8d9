"""kill -9 at any moment of a publication leaves the old partition or the new one, whole, and the next run finishes."""

import datetime as dt
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from lockstep.publish.contract import StagedFile
from lockstep.publish.duckdb_warehouse import DuckDBWarehouse
from tests.unit.publish.staged import DAY, staged_file, staged_table

pytestmark = [pytest.mark.integration, pytest.mark.slow]

ROWS = 150_000
KILLS = 20

# Publishes one run: warehouse, file, size, hash, run key, token. Says when it begins.
CHILD = """
import datetime as dt, sys
from pathlib import Path
from lockstep.publish.contract import PublishRequest, StagedFile
from lockstep.publish.duckdb_warehouse import DuckDBWarehouse
location, path, size, sha256, run_key, token, rows = sys.argv[1:]
request = PublishRequest(table="t", partition_column="flight_date", partition=dt.date(2013, 8, 1), run_key=run_key,
    token=int(token), spec="s", spec_hash="h", model_name="m", model_version=1, model_digest="d", code_version="0",
    run_folder="r", files=[StagedFile(Path(path), int(size), sha256)], rows=int(rows), now=dt.datetime.now(dt.UTC))
print("begin", flush=True)
print(DuckDBWarehouse(location, 10).publish(request).outcome, flush=True)
"""


def start(warehouse: DuckDBWarehouse, file: StagedFile, run_key: str, token: int) -> "subprocess.Popen[str]":
    facts = [warehouse.location, str(file.path), str(file.size_bytes), file.sha256, run_key, str(token), str(ROWS)]
    env = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    child = subprocess.Popen([sys.executable, "-c", CHILD, *facts], stdout=subprocess.PIPE, text=True, env=env)
    assert child.stdout is not None
    assert child.stdout.readline() == "begin\n"
    return child


def finish(child: "subprocess.Popen[str]") -> str:
    text, _ = child.communicate(timeout=60)
    assert child.returncode == 0
    return text.strip()


def kill(child: "subprocess.Popen[str]") -> None:
    child.send_signal(signal.SIGKILL)
    child.communicate(timeout=60)


def live(warehouse: DuckDBWarehouse) -> tuple[str, str]:
    """Return the run that the rows are of and the run that the ledger names; both must be one, whole run."""
    with duckdb.connect(warehouse.location) as connection:
        rows = connection.execute("SELECT run_key, count(*), count(DISTINCT flight) FROM t GROUP BY ALL").fetchall()
        lineage = connection.execute("SELECT run_key, rows FROM model_lineage").fetchall()
    assert len(rows) == len(lineage) == 1
    assert rows[0][1] == rows[0][2] == lineage[0][1] == ROWS
    return str(rows[0][0]), str(lineage[0][0])


def claim(warehouse: DuckDBWarehouse, run_key: str) -> int:
    return warehouse.claim("t", partition=DAY, run_key=run_key, now=dt.datetime.now(dt.UTC)).token


def test_kill_at_random_moments(tmp_path: Path) -> None:
    warehouse = DuckDBWarehouse(str(tmp_path / "w.duckdb"), 10)
    files = {}
    for run_key in ("a", "b"):
        path = tmp_path / f"{run_key}.parquet"
        pq.write_table(staged_table(run_key, rows=ROWS), path)
        files[run_key] = staged_file(path)
    assert finish(start(warehouse, files["a"], "a", claim(warehouse, "a"))) == "published"
    clock = time.monotonic()
    assert finish(start(warehouse, files["b"], "b", claim(warehouse, "b"))) == "published"
    whole_s = time.monotonic() - clock

    current, seen = "b", {"old": 0, "new": 0}
    dice = random.Random(7)
    for _ in range(KILLS):
        coming = "a" if current == "b" else "b"
        child = start(warehouse, files[coming], coming, claim(warehouse, coming))
        time.sleep(dice.uniform(0, whole_s))
        kill(child)
        rows_of, ledger_of = live(warehouse)
        assert rows_of == ledger_of
        seen["new" if rows_of == coming else "old"] += 1
        current = rows_of
    assert seen["old"] > 0, "no kill came before the commit"

    # The same run again: right rows, once.
    coming = "a" if current == "b" else "b"
    token = claim(warehouse, coming)
    assert [finish(start(warehouse, files[coming], coming, token)) for _ in range(2)] == ["published", "noop"]
    assert live(warehouse) == (coming, coming)


def test_kill_while_it_writes(tmp_path: Path) -> None:
    """Stop the child once its transaction writes (its files grow), so that the kill is surely inside it."""
    warehouse = DuckDBWarehouse(str(tmp_path / "w.duckdb"), 10)
    files = {}
    for run_key in ("a", "b"):
        path = tmp_path / f"{run_key}.parquet"
        pq.write_table(staged_table(run_key, rows=ROWS), path)
        files[run_key] = staged_file(path)
    assert finish(start(warehouse, files["a"], "a", claim(warehouse, "a"))) == "published"
    token = claim(warehouse, "b")
    before = _bytes(warehouse)
    child = start(warehouse, files["b"], "b", token)
    while _bytes(warehouse) <= before and child.poll() is None:
        time.sleep(0.001)
    kill(child)
    assert child.returncode == -signal.SIGKILL
    assert live(warehouse) in {("a", "a"), ("b", "b")}
    assert finish(start(warehouse, files["b"], "b", token)) in {"published", "noop"}
    assert live(warehouse) == ("b", "b")


def test_two_processes_publish_one_after_the_other(tmp_path: Path) -> None:
    warehouse = DuckDBWarehouse(str(tmp_path / "w.duckdb"), 10)
    path = tmp_path / "a.parquet"
    pq.write_table(staged_table("a", rows=ROWS), path)
    file, token = staged_file(path), claim(warehouse, "a")
    outcomes = [finish(child) for child in [start(warehouse, file, "a", token) for _ in range(3)]]
    assert sorted(outcomes) == ["noop", "noop", "published"]
    assert live(warehouse) == ("a", "a")


def _bytes(warehouse: DuckDBWarehouse) -> int:
    paths = [Path(warehouse.location), Path(f"{warehouse.location}.wal")]
    return sum(path.stat().st_size for path in paths if path.exists())
