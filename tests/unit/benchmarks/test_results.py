from pathlib import Path
from typing import Any

import pytest

from benchmarks.results import Record, read_results, summarise, write_results
from benchmarks.table import NOTHING, chapters, main, with_results

MACHINE = {"processor": "P", "cores_used": 2, "cores": 4, "memory_gb": 16.0, "system": "Linux 6", "python": "3.11.7"}


def record(system: str, *runs_s: float, **changes: Any) -> Record:
    made = Record("mlp20", system, f"{system} 1.0", "default", "warm", 100_000, MACHINE, runs_s=list(runs_s))
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def test_ratios_are_of_medians_and_a_failed_system_has_none() -> None:
    records = [record("bare", 1.0, 3.0, 1.2), record("lockstep", 1.5, 1.8, 9.0), record("ray", 1.0, error="it died")]
    summarise(records)
    assert [r.median_s for r in records] == [1.2, 1.8, None]
    assert [r.ratio_to_bare for r in records] == [1.0, 1.5, None]


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    records = [record("bare", 1.0), record("lockstep", 2.0)]
    summarise(records)
    assert write_results(records, tmp_path).name == "mlp20-100000-warm.json"
    assert read_results(tmp_path) == [records]


def test_page_gets_tables_and_plots_that_do_not_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    series = {"seconds": [0.0, 0.5], "total": [10, 30]}
    peaks = {f"peak_{name}": 30 for name in ("total", "python", "largest_python", "java")}
    warm = [
        record("bare", 1.0),
        record("lockstep", 1.5, memory={**series, **peaks}),
        record("ray", error="it | died"),
        record("daft", 1.2),
    ]
    cold = [record(name, 9.0, mode="cold", first_row_s=[8.5]) for name in ("bare", "lockstep")]
    for records in (warm, cold):
        summarise(records)
        write_results(records, tmp_path / "results")
    page = tmp_path / "page.md"
    page.write_text(with_results(_page(), NOTHING))
    monkeypatch.setattr("sys.argv", ["table", "--results", str(tmp_path / "results"), "--page", str(page)])
    assert main() == 0
    text = page.read_text()
    assert text.startswith("before")
    assert text.endswith("after")
    rows = [line.split(" | ")[0] for line in text.splitlines() if line.startswith("| ")]
    assert rows[:6] == ["| system", "| ---", "| bare", "| daft", "| lockstep", "| ray"]
    assert "failed: it / died" in text
    plots = {name: (tmp_path / "page" / name).read_bytes() for name in ("warm.svg", "cold.svg", "memory.svg")}
    assert main() == 0
    assert page.read_text() == text
    assert plots == {name: (tmp_path / "page" / name).read_bytes() for name in plots}
    assert str(page) in capsys.readouterr().out


def test_page_without_results_says_so(tmp_path: Path) -> None:
    assert NOTHING in with_results(_page(), chapters([], tmp_path))


def _page() -> str:
    from benchmarks.table import BEGIN, END

    return f"before\n{BEGIN}\nold\n{END}\nafter"
