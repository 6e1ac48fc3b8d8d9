"""The plots in docs/ show what was recorded, and drawing them again makes the same bytes."""

import json
import re
from pathlib import Path

import pytest

from benchmarks.scaling import page as scaling
from benchmarks.scaling.plot import plot_steps
from benchmarks.serving.plot import fastest, plot_answers
from benchmarks.serving.records import CLOSED, Record

ROOT = Path(__file__).parents[3]
ENDPOINT = ROOT / "docs" / "benchmarks-endpoint"
RECORDS = [
    Record(**facts) for facts in json.loads((ROOT / "benchmarks/results/serving.json").read_text(encoding="utf-8"))
]
WORKLOADS = sorted({record.workload for record in RECORDS})


def texts(picture: Path) -> list[str]:
    """Return what is written in a picture: on another machine a curve may differ in a last digit, these may not."""
    return re.findall(r"<text[^>]*>([^<]+)</text>", picture.read_text(encoding="utf-8"))


@pytest.mark.parametrize("workload", WORKLOADS)
def test_a_plot_of_the_endpoint_is_that_of_the_records(workload: str, tmp_path: Path) -> None:
    records = [record for record in RECORDS if record.workload == workload]
    for name in ("a.svg", "b.svg"):
        plot_answers(records, tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert texts(ENDPOINT / f"{workload}.svg") == texts(tmp_path / "a.svg"), "make bench-serving-table draws it anew"


def test_each_system_is_drawn_once_with_its_fastest_format() -> None:
    closed = [record for record in RECORDS if record.workload == "trees" and record.load == CLOSED and record.rps]
    shown = fastest(closed, 32)
    assert len({record.system for record in shown}) == len(shown) == len({r.system for r in closed if r.clients == 32})
    for record in shown:
        assert record.rps == max(r.rps or 0 for r in closed if (r.system, r.clients) == (record.system, 32))
    assert [record.rps for record in shown] == sorted(record.rps or 0 for record in shown)


def test_the_plot_of_scaling_is_that_of_the_records(tmp_path: Path) -> None:
    measured = json.loads((scaling.RESULTS / "scaling.json").read_text(encoding="utf-8"))["measured"]
    titles = {step: title for step, title in scaling.TITLES.items() if not title.startswith("(")}
    plot_steps(measured, titles, tmp_path / "steps.svg")
    assert texts(scaling.PLOT) == texts(tmp_path / "steps.svg"), "python -m benchmarks.scaling.page draws it anew"


def test_plots_fetch_nothing() -> None:
    for picture in [*ENDPOINT.glob("*.svg"), *(ROOT / "docs" / "benchmarks").glob("*.svg"), scaling.PLOT]:
        text = picture.read_text(encoding="utf-8")
        assert not re.search(r"(?:href|src)=\"(?!#)", text), picture
        assert "@import" not in text
