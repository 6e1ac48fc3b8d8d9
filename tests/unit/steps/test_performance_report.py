"""The performance section of the report: what became of the days before."""

import datetime as dt
from pathlib import Path

from lockstep.report.performance_view import performance_view
from lockstep.report.trends import value_line
from tests.unit.steps.labelled import Depot, random_outcomes
from tests.unit.steps.runs import DAY
from tests.unit.steps.test_report import render, words


def test_the_report_of_a_later_run_shows_the_days_before(tmp_path: Path) -> None:
    depot = Depot(tmp_path)
    first = depot.publish()
    depot.happen(random_outcomes())
    depot.measure()
    second = DAY + dt.timedelta(days=1)
    depot.publish(day=second, version=2)
    depot.happen([*random_outcomes(1)[:35], *[None] * 5], day=second)
    depot.measure(second)
    later = depot.publish(day=DAY + dt.timedelta(days=3))
    text = render(later, tmp_path)
    assert text.count('<svg class="spark"') >= 5
    shown = words(text)
    assert "published for 2024-03-05 to 2024-03-06: 2 days with labels, 75 of 80 rows labelled" in shown
    assert "by model version 1, 2." in shown
    assert f"AUC {depot.whole()[1].auc:.3f}" in shown
    assert "Performance" not in words(render(first, tmp_path)), "its own day is none of those before it"


def test_without_a_warehouse_or_labels_there_is_no_section(tmp_path: Path) -> None:
    depot = Depot(tmp_path)
    folder = depot.publish(day=DAY + dt.timedelta(days=1))
    assert "Performance" not in words(render(folder, tmp_path))
    (tmp_path / "warehouse.duckdb").write_text("damaged")
    assert "Performance" not in words(render(folder, tmp_path))
    assert performance_view([]) is None


def test_a_line_needs_two_days_and_bears_equal_values() -> None:
    assert value_line("AUC", [(DAY, 0.7)]) is None
    line = value_line("<AUC>", [(DAY, 0.7), (DAY + dt.timedelta(days=9), 0.7)])
    assert line is not None
    assert "&lt;AUC&gt;: 0.700 to 0.700 in 2 days" in line
    assert "nan" not in line
