import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lockstep.serving.features.errors import FeatureSourceUnavailable, FeaturesRefused
from lockstep.serving.features.policy import Enrichment, judge, rejections
from lockstep.serving.features.source import Fetched
from lockstep.specs.features_spec import FeaturePolicy

NOW = dt.datetime(2024, 3, 5, 12, tzinfo=dt.UTC)
ACTIONS = st.sampled_from(["reject", "default", "null"])


@st.composite
def policies(draw: st.DrawFn) -> FeaturePolicy:
    missing, stale = draw(ACTIONS), draw(ACTIONS)
    unavailable = draw(st.none() | ACTIONS)
    default = -1.0 if "default" in {missing, stale, unavailable} else None
    age = draw(st.none() | st.integers(1, 1_000))
    return FeaturePolicy(
        feature="f", max_age_s=age, missing=missing, stale=stale, unavailable=unavailable, default=default
    )


ROW = st.tuples(st.none() | st.floats(0, 1), st.none() | st.integers(-1_000, 2_000), st.booleans())


@given(policies(), st.lists(ROW, max_size=6))
def test_every_row_is_what_the_policy_says_and_nothing_else_is_used(
    policy: FeaturePolicy, found: list[tuple[float | None, int | None, bool]]
) -> None:
    """Each row is a value, its age in seconds, and whether it could be read."""
    values = [value if good else None for value, _, good in found]
    times = [None if age is None else NOW - dt.timedelta(seconds=age) for _, age, _ in found]
    bad = frozenset(row for row, (_, _, good) in enumerate(found) if not good)
    used = judge(Fetched({"f": values}, {"f": times}, {"f": bad}), policy, source="s", rows=len(found), now=NOW)
    for row, (value, age, good) in enumerate(found):
        old = policy.max_age_s is not None and (age is None or age > policy.max_age_s)
        if good and value is not None and not old:
            assert (used.states[row], used.uses[row], used.values[row]) == ("fresh", "source", value)
            continue
        state = "invalid" if not good else "missing" if value is None else "stale"
        action = policy.stale if state == "stale" else policy.missing
        expected: dict[str, tuple[str, Any]] = {
            "reject": ("rejected", None),
            "default": ("default", policy.default),
            "null": ("null", None),
        }
        assert used.states[row] == state
        assert (used.uses[row], used.values[row]) == expected[action]
        assert used.event_times[row] == times[row]
    refused = rejections({"x": used})
    assert sorted(refused) == [row for row, use in enumerate(used.uses) if use == "rejected"]


@given(policies(), st.integers(0, 3))
def test_a_source_that_gave_no_answer_has_its_own_action(policy: FeaturePolicy, rows: int) -> None:
    used = judge(None, policy, source="s", rows=rows, now=NOW)
    assert used.states == ("unavailable",) * rows
    action = policy.unavailable or policy.missing
    assert used.uses == ({"reject": "rejected", "default": "default", "null": "null"}[action],) * rows
    enrichment = Enrichment(rows, {"x": used}, rejections({"x": used}), {"s": "it is down"})
    if rows and action == "reject":
        with pytest.raises(FeatureSourceUnavailable, match="feature source s gave no answer: it is down"):
            enrichment.raise_if_rejected()
    else:
        enrichment.raise_if_rejected()


def test_rejected_rows_are_named_with_features_and_states_and_without_values() -> None:
    policy = FeaturePolicy(feature="f", max_age_s=10)
    old = NOW - dt.timedelta(seconds=11)
    used = judge(Fetched({"f": [0.123, None, 7.0]}, {"f": [old, None, NOW]}), policy, source="s", rows=3, now=NOW)
    enrichment = Enrichment(3, {"x": used}, rejections({"x": used}))
    with pytest.raises(FeaturesRefused) as caught:
        enrichment.raise_if_rejected()
    assert caught.value.reasons == {0: "feature 'x' is stale", 1: "feature 'x' is missing"}
    assert "0.123" not in str(caught.value)
    assert enrichment.columns == {"x": (None, None, 7.0)}
    logged = {name: column.to_pylist() for name, column in enrichment.log_columns().items()}
    assert logged == {
        "x__state": ["stale", "missing", "fresh"],
        "x__use": ["rejected", "rejected", "source"],
        "x__event_time": [old, None, NOW],
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {"missing": "default"},
        {"default": 1.0},
        {"max_age_s": 0},
        {"feature": ""},
        {"missing": "guess"},
        {"fallback": 1},
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FeaturePolicy.model_validate({"feature": "f", **wrong})
