import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.serving.load import Measured, summarise_times
from benchmarks.serving.records import Record, print_table, write_records


def measured(rps: float, **changes: Any) -> Measured:
    facts = {"answers": 10, "p50_ms": 1.0, "p99_ms": 2.0, "errors": {}, "late_p99_ms": None}
    return Measured(**{**facts, "largest_difference": 0.0, "tool_cpu": 0.1, **changes}, rps=rps)


def record(system: str, *rounds: Measured, workload: str = "mlp20", protocol: str = "plain") -> Record:
    made = Record(workload, system, protocol, clients=1, load="closed", version="x 1", machine={"cores": 2})
    for seen in rounds:
        made.add(seen)
    return made


def test_figures_are_medians_and_errors_are_summed() -> None:
    made = record(
        "bare",
        measured(100, p50_ms=1.0),
        measured(300, p50_ms=None, errors={"status 500": 2}),
        measured(110, p50_ms=3.0),
    )
    assert (made.rps, made.p50_ms, made.errors, len(made.rounds)) == (110, 2.0, 2, 3)


def test_percentiles_are_of_the_times_given() -> None:
    seen = summarise_times([number / 1000 for number in range(1, 101)])
    assert (seen.p50_ms, seen.p99_ms, seen.answers) == (50.0, 99.0, 100)
    assert seen.rps == pytest.approx(100 / 5.05, abs=0.1)
    assert summarise_times([0.004]).p99_ms == 4.0


def test_other_workloads_stay_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "results" / "serving.json"
    write_records([record("bare", measured(1)), record("bare", measured(2), workload="trees")], path)
    write_records([record("bare", measured(3))], path)
    assert [(r["workload"], r["rps"]) for r in json.loads(path.read_text())] == [("trees", 2), ("mlp20", 3)]


def test_table_compares_with_the_bare_app(capsys: pytest.CaptureFixture[str]) -> None:
    failed = record("mlflow")
    failed.error = "it did not start"
    print_table([record("bare", measured(1000)), record("lockstep", measured(700), protocol="v2"), failed])
    lines = capsys.readouterr().out.splitlines()
    assert "0.70" in next(line for line in lines if "lockstep v2" in line)
    assert "it did not start" in next(line for line in lines if "mlflow" in line)
