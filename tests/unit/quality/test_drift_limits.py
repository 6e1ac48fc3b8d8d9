"""What the `drift:` section of a spec makes of measured drift."""

import datetime as dt
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from lockstep.quality.drift import ColumnDrift, DriftWindow, reading
from lockstep.quality.drift_limits import bound_of, drift_results
from lockstep.quality.results import CheckResult
from lockstep.specs.spec import ScoringSpec
from tests.unit.steps.runs import SPEC

WEEK = DriftWindow(days=tuple(dt.date(2024, 1, day) for day in range(1, 8)))


def spec_of(drift: str = "{}", **limits: Any) -> ScoringSpec:
    return ScoringSpec.model_validate({**SPEC, "limits": limits, "drift": yaml.safe_load(drift)})


def column(name: str, **facts: Any) -> ColumnDrift:
    psi = facts.pop("psi", 0.0)
    usual = {"kind": "numeric", "js": 0.1, "ks": 0.1, "null_percent": 0.0, "baseline_null_percent": 0.0}
    return ColumnDrift(column=name, psi=psi, reading=reading(psi), **{**usual, **facts})


def judged(results: list[CheckResult]) -> list[tuple[str, str, bool, str]]:
    return [(result.name, result.target, result.success, result.severity) for result in results]


def test_without_a_section_the_old_limit_alone_judges() -> None:
    spec = spec_of(max_drift_psi=2.0)
    drift = [column("risk", psi=2.1), column("km", psi=9.0), column("risk", psi=9.0, reference="trailing")]
    assert judged(drift_results(drift, spec, WEEK)) == [("limits.max_drift_psi", "risk", False, "critical")]


def test_the_old_limit_is_reached_not_passed() -> None:
    spec = spec_of(max_drift_psi=0.5)
    assert drift_results([column("km", psi=9)], spec, WEEK) == []
    kept, broken = (drift_results([column("risk", psi=psi)], spec, WEEK)[0] for psi in (0.5, 0.51))
    assert (kept.success, broken.success) == (True, False)
    assert broken.line().startswith(
        "limits.max_drift_psi on risk: got PSI 0.510 (large shift), expected at most 0.5 against the training data"
    )


def test_warnings_are_rare() -> None:
    spec = spec_of(max_drift_psi=4)

    def warned(*drift: ColumnDrift) -> list[CheckResult]:
        return [result for result in drift_results(drift, spec, WEEK) if result.severity == "warning"]

    assert warned(column("risk", psi=1.9), column("season", psi=6.0)) == []
    (near,) = warned(column("season", psi=6.0), column("risk", psi=2.0))
    assert near.line() == (
        "score_drift_nears_its_limit on risk: got PSI 2.000; features that moved most: season (6.00), expected less "
        "than 2, half the limit (the scores are unlike those of training; look at the features that moved)"
    )
    assert warned(column("risk", psi=4.1)) == []
    (empty,) = warned(column("risk"), column("weather", psi=0.2, null_percent=60.0, baseline_null_percent=5.0))
    assert empty.line() == (
        "feature_nulls on weather: got 60 % nulls, expected about the 5 % of training "
        "(a source of this feature may not have been loaded)"
    )


def test_each_figure_with_a_bound_is_one_result() -> None:
    spec = spec_of(
        """
        score: {training: {psi: 3, ks: 0.5}, trailing: {js: 0.3}}
        features: {trailing: {psi: 1, ks: 0.4}}
        columns: {km: {training: {js: 0.2}, severity: critical}, depot: {}}
        """,
        max_drift_psi=1.0,
    )
    drift = [
        column("risk", psi=2.0, ks=0.6),
        column("km", psi=9.0, js=0.2),
        column("kg", psi=9.0),
        column("depot", kind="categorical", psi=9.0, ks=None),
        column("kg", psi=0.5, ks=0.41, reference="trailing"),
        column("risk", js=0.31, reference="trailing"),
    ]
    assert judged(drift_results(drift, spec, WEEK)) == [
        ("drift.training.ks", "risk", False, "critical"),
        ("drift.trailing.js", "risk", False, "critical"),
        ("drift.training.psi", "risk", True, "critical"),
        ("drift.trailing.ks", "kg", False, "warning"),
        ("drift.training.js", "km", True, "critical"),
        ("drift.trailing.psi", "kg", True, "warning"),
        ("score_drift_nears_its_limit", "risk", False, "warning"),
    ]


def test_a_result_says_what_it_compared_with() -> None:
    spec = spec_of("{features: {training: {psi: 1}, trailing: {ks: 0.3}}}")
    drift = [column("km", psi=1.5), column("km", ks=0.31, reference="trailing")]
    lines = [result.line() for result in drift_results(drift, spec, WEEK)]
    why = " (the model gets other values here than those it was trained or last used on)"
    assert lines == [
        "drift.training.psi on km: got PSI 1.500 (large shift), expected at most 1 against the training data" + why,
        "drift.trailing.ks on km: got KS distance 0.310, expected at most 0.3 against the 7 published days before"
        + why,
    ]


def test_the_distance_of_texts_that_have_no_order_is_not_judged() -> None:
    spec = spec_of("{features: {training: {ks: 0.01}}}")
    assert drift_results([column("depot", kind="categorical", ks=None)], spec, WEEK) == []


def test_a_short_window_is_told_and_fails_nothing() -> None:
    short = DriftWindow(days=WEEK.days[:2])
    (told,) = drift_results([], spec_of("{score: {trailing: {js: 0.3}}}"), short)
    assert (told.name, told.success, told.observed) == ("drift.trailing", True, "2 published days in the 28 before")
    assert drift_results([], spec_of(), short) == []


def test_a_limit_on_a_column_that_is_not_there_is_a_warning() -> None:
    (told,) = drift_results([column("km")], spec_of("{columns: {kn: {training: {psi: 1}}}}"), WEEK)
    assert (told.name, told.target, told.success, told.severity) == ("drift.columns", "kn", False, "warning")


def test_bounds_for_the_table() -> None:
    spec = spec_of("{score: {trailing: {ks: 0.5}}, columns: {km: {training: {js: 0.2}}}}", max_drift_psi=4.0)
    assert bound_of(spec, "risk", reference="training", metric="psi") == 4.0
    assert bound_of(spec, "risk", reference="trailing", metric="psi") is None
    assert bound_of(spec, "risk", reference="trailing", metric="ks") == 0.5
    assert bound_of(spec, "km", reference="training", metric="js") == 0.2
    assert bound_of(spec, "kg", reference="training", metric="psi") is None


@pytest.mark.parametrize(
    ("drift", "problem"),
    [
        ("{columns: {risk: {}}}", "names the score 'risk'"),
        ("{score: {training: {js: 1.5}}}", "less than or equal to 1"),
        ("{score: {training: {psi: 0}}}", "greater than 0"),
        ("{score: {last_week: {psi: 1}}}", "Extra inputs"),
        ("{window_days: 0}", "greater than or equal to 1"),
        ("{window_days: 7, min_days: 8}", "'min_days' 8 is more than 'window_days' 7"),
        ("{features: {severity: info}}", "'critical' or 'warning'"),
    ],
)
def test_a_section_that_says_nothing_sensible_is_refused(drift: str, problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        spec_of(drift)
