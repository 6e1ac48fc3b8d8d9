"""Which guardrails are broken: pure, from figures."""

import datetime as dt
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.quality.guardrails import HIDDEN, Performance, PerformancePair, find_breaches
from lockstep.run.comparison import Comparison, SegmentShift
from lockstep.specs.trial_spec import Guardrails

ALL = Guardrails(
    min_agreement=0.9,
    max_mean_shift=0.05,
    max_segment_shift=0.1,
    max_psi=0.2,
    max_extra_quarantined=0.01,
    max_cost_ratio=2.0,
    max_auc_drop=0.02,
    max_log_loss_rise=0.1,
)
GOOD: dict[str, Any] = {
    "run_key": "k",
    "partition": dt.date(2024, 3, 5),
    "alias": "challenger",
    "version": 2,
    "digest": "d",
    "champion_version": 1,
    "champion_digest": "c",
    "rows_in": 1000,
    "compared": 1000,
    "tolerance": 0.01,
    "agreement": 0.9,
    "mean_difference": -0.05,
    "max_difference": 0.5,
    "psi": 0.2,
    "champion_seconds": 1.0,
    "challenger_seconds": 2.0,
    "segments": (SegmentShift(column="carrier", value="UA", rows=9, champion_mean=0.3, challenger_mean=0.2),),
}
PAIR = PerformancePair(Performance(500, 0.70, 0.5), Performance(500, 0.68, 0.6))


def broken(changes: dict[str, Any], guardrails: Guardrails = ALL, pair: PerformancePair | None = PAIR) -> list[str]:
    found = find_breaches(guardrails, Comparison.model_validate({**GOOD, **changes}), pair)
    assert all(breach.sentence for breach in found)
    return [breach.what for breach in found]


def test_what_is_exactly_at_its_limit_is_good() -> None:
    assert broken({}, pair=PerformancePair(Performance(500, 0.70, 0.5), Performance(500, 0.6800001, 0.5999))) == []


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"agreement": 0.89}, "min_agreement"),
        ({"agreement": None}, "min_agreement"),
        ({"agreement": math.nan}, "min_agreement"),
        ({"mean_difference": 0.0501}, "max_mean_shift"),
        ({"mean_difference": -0.0501}, "max_mean_shift"),
        ({"mean_difference": math.nan}, "max_mean_shift"),
        ({"psi": 0.21}, "max_psi"),
        ({"psi": None}, "max_psi"),
        ({"psi": math.inf}, "max_psi"),
        ({"challenger_bad": 11}, "max_extra_quarantined"),
        ({"challenger_bad": 31, "champion_bad": 20}, "max_extra_quarantined"),
        ({"challenger_seconds": 2.01}, "max_cost_ratio"),
    ],
)
def test_each_limit_is_judged(changes: dict[str, Any], what: str) -> None:
    assert broken(changes, pair=None) == [what]
    (breach,) = find_breaches(ALL, Comparison.model_validate({**GOOD, **changes}))
    assert breach.limit == getattr(ALL, what)
    assert breach.found is None or not math.isnan(breach.found)


def test_without_limits_only_bad_rows_and_a_failure_count() -> None:
    wild = {"agreement": 0.0, "psi": 9.0, "mean_difference": 1.0, "challenger_seconds": 99.0}
    assert broken(wild, Guardrails()) == []
    assert broken({**wild, "challenger_bad": 1}, Guardrails()) == ["max_extra_quarantined"]
    assert broken({**wild, "challenger_bad": 1}, Guardrails(max_extra_quarantined=None)) == []
    assert broken({**wild, "failure": "it fell over"}, Guardrails(max_extra_quarantined=None)) == ["failure"]


def test_an_unknown_cost_and_days_without_rows_break_nothing() -> None:
    assert broken({"champion_seconds": None}, pair=None) == broken({"champion_seconds": 0.0}, pair=None) == []
    empty = {"agreement": None, "mean_difference": None, "psi": None, "segments": (), "compared": 0}
    assert broken({**empty, "rows_in": 0}, pair=None) == []
    assert broken({**empty, "champion_bad": 1000, "challenger_bad": 1000}, pair=None) == []
    assert "min_agreement" in broken({**empty, "challenger_bad": 1000}, pair=None)


def test_performance_waits_for_labels_and_is_judged_then() -> None:
    def pair(auc: float | None, log_loss: float | None) -> PerformancePair:
        return PerformancePair(PAIR.champion, Performance(500, auc, log_loss))

    assert broken({}, pair=pair(0.67, 0.61)) == ["max_auc_drop", "max_log_loss_rise"]
    assert broken({}, pair=pair(0.99, 0.1)) == broken({}, pair=pair(None, None)) == []


def test_a_segment_is_named_unless_its_values_are_not_to_be_shown() -> None:
    shifted = SegmentShift(column="carrier", value="UA", rows=1234, champion_mean=0.1, challenger_mean=0.4)
    comparison = Comparison.model_validate({**GOOD, "segments": (shifted,)})
    (shown,) = find_breaches(ALL, comparison)
    (hidden,) = find_breaches(ALL, comparison, hidden=("carrier",))
    assert "where carrier is UA (1,234 rows), by 0.3; at most 0.1 is allowed" in shown.sentence
    assert HIDDEN in hidden.sentence
    assert "UA" not in hidden.sentence


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_looser_limit_never_breaks_what_a_tighter_one_allows(found: float, limit: float) -> None:
    comparison = Comparison.model_validate({**GOOD, "agreement": found})
    looser = Guardrails(min_agreement=limit / 2)
    if not find_breaches(Guardrails(min_agreement=limit), comparison):
        assert not find_breaches(looser, comparison)
