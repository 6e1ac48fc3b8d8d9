"""The drift section of the report: three figures, two references, days before, and nothing fetched."""

import datetime as dt
from pathlib import Path

import pytest

from lockstep.quality.drift import ColumnDrift, ColumnTrend, TrendPoint
from lockstep.quality.verdict import Verdict
from lockstep.report.drift_view import drift_view
from lockstep.report.trends import sparkline, trend_chart
from lockstep.run.folder import MANIFEST
from lockstep.specs.spec import ScoringSpec
from tests.unit.steps.runs import SPEC
from tests.unit.steps.test_drift_references import run_day
from tests.unit.steps.test_report import render, words

DAYS = [dt.date(2024, 3, day) for day in (1, 2, 9)]


def trend(*values: float) -> ColumnTrend:
    points = [
        TrendPoint(day=day, psi=value, js=0.2, ks=None) for day, value in zip(DAYS[: len(values)], values, strict=True)
    ]
    return ColumnTrend(column="risk<1>", points=tuple(points))


def test_a_line_needs_two_days() -> None:
    assert trend_chart(trend(0.5), limit=1.0) is None
    assert sparkline(trend(0.5)) is None
    assert sparkline(None) is None


def test_days_are_placed_by_the_calendar_and_the_limit_is_drawn_where_it_fits() -> None:
    chart = trend_chart(trend(0.5, 0.25, 1.0), limit=0.8)
    assert chart is not None
    assert 'd="M48.0,75.0L148.0,105.5L848.0,14.0"' in chart  # a day is 100 wide, the gap of a week 700
    assert 'class="limit" x1="48" x2="848" y1="38.4"' in chart
    assert "1 March 2024: PSI 0.500, JS 0.200" in chart
    assert "risk&lt;1&gt;" in chart
    assert "limit" not in str(trend_chart(trend(0.5, 0.25, 1.0), limit=4.0))


@pytest.mark.parametrize("values", [(0.0, 0.0), (1e-6, 12.0), (3.0, 900.0)])
def test_any_index_fits(values: tuple[float, float]) -> None:
    chart, spark = trend_chart(trend(*values), limit=None), sparkline(trend(*values))
    assert chart is not None
    assert spark is not None
    for text in (chart, spark):
        assert "nan" not in text
        assert "inf" not in text


def test_an_estimate_says_between_which_figures_it_lies() -> None:
    facts = {"kind": "numeric", "psi": 0.1, "reading": "shifted", "null_percent": 0.0, "baseline_null_percent": 0.0}
    bins = ColumnDrift(column="a", js=0.1, ks=0.3, ks_above=0.1, **facts)
    sketch = ColumnDrift(column="b", js=0.1, ks=0.3, ks_above=0.03, ks_below=0.03, **facts)
    verdict = Verdict(
        stage="audit",
        run_key="k",
        partition=DAYS[0],
        passed=True,
        checked_at=dt.datetime(2024, 3, 1, tzinfo=dt.UTC),
        rows=1,
        results=(),
        drift=(bins, sketch),
    )
    view = drift_view(verdict, ScoringSpec.model_validate(SPEC))
    assert view is not None
    assert [(row.training[2].text, row.training[2].title) for row in view.first] == [
        ("≥ 0.300", "between 0.300 and 0.400"),
        ("0.300", "between 0.270 and 0.330"),
    ]


@pytest.mark.slow
def test_the_page_shows_both_references_and_the_days(tmp_path: Path) -> None:
    folders = [run_day(tmp_path, number, add=60.0 if number == 2 else 0.0) for number in range(3)]
    folders[0].file(MANIFEST).unlink()
    after = render(run_day(tmp_path, 3), tmp_path)
    assert "1 more published day of the window could not be read" in words(after)
    first, last = render(folders[0], tmp_path), render(folders[2], tmp_path)
    assert "Not compared with the days before: 0 published days in the 3 before, 2 are needed." in words(first)
    assert "Against training" in words(first)
    assert first.count("<svg") == 1  # the histogram alone
    assert "Against the 2 days before" in words(last)
    assert last.count("<svg") == 1 + 1 + 3  # and the score's line, and one for each column
    assert "of the score against training, day by day" in words(last)
    assert 'title="not defined for texts, which have no order"' in last
    assert 'class="figure warn" title="limit 0.3"' in last  # km against the days before
