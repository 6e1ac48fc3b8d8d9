"""What the demo makes of the audits of two weeks."""

import datetime as dt
import os
from pathlib import Path

import pytest

from lockstep.demo.backfill import Days
from lockstep.demo.drift import HEADINGS, SPEC, ColumnFigures, audits, comparison, figures
from lockstep.quality.drift import ColumnDrift, reading
from lockstep.quality.verdict import Verdict
from lockstep.run.folder import AUDIT, RunFolder
from tests.unit.steps.runs import make_settings


def drift(column: str, psi: float, *, ks: float | None = None, reference: str = "training") -> ColumnDrift:
    facts = {"js": psi / 10, "ks": ks, "null_percent": 10 * psi, "baseline_null_percent": 5.0, "reference": reference}
    return ColumnDrift(column=column, kind="numeric", psi=psi, reading=reading(psi), **facts)


def verdict(day: int, *found: ColumnDrift) -> Verdict:
    return Verdict(
        stage="audit",
        run_key=f"run{day}",
        partition=dt.date(2023, 8, day),
        passed=True,
        checked_at=dt.datetime(2023, 8, day, tzinfo=dt.UTC),
        rows=10,
        results=(),
        drift=found,
    )


def test_figures_are_medians_over_days() -> None:
    week = [
        verdict(1, drift("a", 1.0, ks=0.1), drift("a", 9.0, reference="trailing")),
        verdict(2, drift("a", 3.0, ks=0.5)),
        verdict(3, drift("a", 2.0, ks=0.2), drift("b", 4.0)),
    ]
    found = figures(week)
    assert found["a"] == ColumnFigures(psi=2.0, js=0.2, ks=0.2, null_percent=20.0, reference_null_percent=5.0)
    assert found["b"].ks is None
    assert figures(week, against="trailing")["a"].psi == 9.0


def test_rows_are_ranked_by_what_is_new_and_a_new_column_has_no_earlier_figure() -> None:
    then = figures([verdict(1, drift("a", 1.0, ks=0.1), drift("season", 6.0))])
    rows = comparison(then, figures([verdict(2, drift("a", 2.0, ks=0.2), drift("b", 4.0), drift("season", 6.5))]))
    assert [row[0] for row in rows] == ["b", "a", "season"]
    assert rows[:2] == [
        ("b", None, 4.0, None, 0.4, None, None, "5.0 %", "40.0 %"),
        ("a", 1.0, 2.0, 0.1, 0.2, 0.1, 0.2, "5.0 %", "20.0 %"),
    ]
    assert {len(row) for row in rows} == {len(HEADINGS)}


@pytest.mark.parametrize("newest", ["one", "two"])
def test_the_newest_audit_of_a_day_counts(tmp_path: Path, newest: str) -> None:
    settings = make_settings(tmp_path)
    for key in ("one", "two"):
        folder = RunFolder.of(settings.runs_root, spec=SPEC, partition=dt.date(2023, 8, 1), run_key=key)
        folder.write_json(AUDIT, verdict(1).model_copy(update={"run_key": key}))
        os.utime(folder.file(AUDIT), (2.0, 2.0) if key == newest else (1.0, 1.0))
    found = audits(settings, Days(dt.date(2023, 7, 31), dt.date(2023, 8, 2)))
    assert {day.isoformat(): one.run_key for day, one in found.items()} == {"2023-08-01": newest}
