"""The benchmark of the endpoint, for real but short: its own bare app and `lockstep serve`, every answer checked."""

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.job import ROOT

LOADS = ["--clients", "1 4", "--rate", "50", "--no-search", "--seconds", "0.5", "--warm-s", "0.2", "--rounds", "1"]


def test_endpoint_and_bare_app_give_right_answers_under_both_loads(tmp_path: Path) -> None:
    results = tmp_path / "serving.json"
    command = [sys.executable, "-m", "benchmarks.serving", "--workload", "mlp20", "--system", "bare lockstep"]
    done = subprocess.run(
        [*command, *LOADS, "--results", str(results)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    records = json.loads(results.read_text())
    measured = {(r["system"], r["protocol"], r["load"], r["clients"]) for r in records}
    loads = [("closed", 1), ("closed", 4), ("open at 50/s", 64)]
    for system, protocol in (("bare", "plain"), *(("lockstep", form) for form in ("dataframe_split", "inputs", "v2"))):
        assert {(system, protocol, *load) for load in loads} <= measured
    assert ("model", "call", "in-process", 1) in measured
    assert all(r["rps"] > 0 and r["p99_ms"] >= r["p50_ms"] > 0 and r["errors"] == 0 for r in records)
