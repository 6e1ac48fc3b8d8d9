import json
from dataclasses import asdict
from pathlib import Path

import pytest

from benchmarks.serving.page import BEGIN, END, main
from benchmarks.serving.records import Record

MACHINE = {"processor": "P", "cores_used": 2, "cores": 4, "memory_gb": 16.0, "system": "Linux 6", "python": "3.11.7"}


def record(
    system: str, rps: float | None, *, load: str = "closed", clients: int = 1, error: str | None = None
) -> Record:
    made = Record("mlp20", system, "plain", clients, load, f"{system} 1.0", MACHINE)
    made.rps, made.p50_ms, made.p99_ms, made.error = rps, 0.1234, 12.0, error
    return made


def test_page_has_a_table_for_each_load_the_fastest_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [
        record("bare", 1000.0),
        record("ray", 1500.0),
        record("mlflow", None, error="it | died"),
        record("bare", 900.0, clients=64, load="open, p99 <= 50 ms"),
    ]
    results, page = tmp_path / "serving.json", tmp_path / "page.md"
    results.write_text(json.dumps([asdict(one) for one in records]))
    page.write_text(f"before {BEGIN} old {END} after")
    monkeypatch.setattr("sys.argv", ["page", "--results", str(results), "--page", str(page)])
    assert main() == 0
    text = page.read_text()
    assert text.startswith("before ")
    assert text.endswith(" after")
    assert "old" not in text
    rows = [line for line in text.splitlines() if line.startswith("| ") and "---" not in line and "p50" not in line]
    assert [row.split(" | ")[0] for row in rows] == ["| ray", "| bare", "| mlflow", "| bare"]
    assert "| 1.50 |" in rows[0]
    assert "failed: it / died" in rows[2]
    assert "Open, p99 <= 50 ms, at most 64 connections" in text
    assert "bare 1.0, mlflow 1.0, ray 1.0" in text
