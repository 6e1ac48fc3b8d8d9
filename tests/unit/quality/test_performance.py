import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import brier_score_loss, log_loss, mean_absolute_error, roc_auc_score, root_mean_squared_error

from lockstep.quality.performance import NO_LABELS, NO_PROBABILITY, NO_SCORES, ONE_CLASS, Floats, measure

NAN = float("nan")
# Few values, so that most rows have the same score as another.
TIED = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0])


@st.composite
def pairs(draw: st.DrawFn, kind: type = np.float64) -> tuple[Floats, Floats]:
    rows = draw(st.integers(2, 60))
    width = 32 if kind is np.float32 else 64
    odds = st.one_of(TIED, st.floats(0, 1, width=width))
    scores = draw(arrays(kind, rows, elements=odds))
    labels = draw(arrays(np.float64, rows, elements=st.sampled_from([0.0, 1.0])))
    assume(0 < labels.sum() < rows)
    return scores, labels


@settings(max_examples=50, deadline=None)
@given(pairs())
def test_figures_are_those_of_scikit_learn(data: tuple[Floats, Floats]) -> None:
    scores, labels = data
    found = measure(scores, labels, kind="binary")
    assert found.auc == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert found.log_loss == pytest.approx(log_loss(labels, scores), rel=1e-12)
    assert found.brier == pytest.approx(brier_score_loss(labels, scores), abs=1e-12)
    assert found.reason == ""


@settings(max_examples=50, deadline=None)
@given(pairs())
def test_auc_is_the_share_of_pairs_in_the_right_order(data: tuple[Floats, Floats]) -> None:
    scores, labels = data
    gaps = scores[labels == 1][:, None] - scores[labels == 0][None, :]
    assert measure(scores, labels, kind="binary").auc == (np.sum(gaps > 0) + np.sum(gaps == 0) / 2) / gaps.size


@settings(max_examples=50, deadline=None)
@given(pairs(np.float32))
def test_single_precision_is_clipped_by_its_own_precision(data: tuple[Floats, Floats]) -> None:
    scores, labels = data
    found = measure(scores, labels, kind="binary")
    assert found.log_loss == pytest.approx(log_loss(labels, scores), rel=1e-4)


@settings(max_examples=50, deadline=None)
@given(pairs(), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter_and_rows_without_a_pair_do_not_count(
    data: tuple[Floats, Floats], random: st.DataObject
) -> None:
    scores, labels = data
    places = list(range(len(scores) + 3))
    random.shuffle(places)
    more = np.append(scores, [0.3, NAN, np.inf])[places], np.append(labels, [NAN, 1.0, 0.0])[places]
    one, other = measure(scores, labels, kind="binary"), measure(*more, kind="binary")
    assert (other.rows, other.labelled, other.measured) == (one.rows + 3, one.rows + 2, one.rows)
    for figure in ("auc", "log_loss", "brier", "calibration_error", "bias", "positives"):
        assert getattr(one, figure) == getattr(other, figure)


def test_calibration_error_is_that_of_ten_bins_of_equal_mass() -> None:
    random = np.random.default_rng(5)
    scores = random.random(1000)
    labels = (random.random(1000) < scores**2).astype(float)
    bins = np.array_split(np.argsort(scores), 10)
    expected = sum(abs(scores[b].mean() - labels[b].mean()) * len(b) for b in bins) / 1000
    assert measure(scores, labels, kind="binary").calibration_error == pytest.approx(expected, abs=1e-12)


def test_rows_of_one_score_share_a_bin() -> None:
    labels = np.array([1.0] * 30 + [0.0] * 70)
    found = measure(np.full(100, 0.5), labels, kind="binary")
    assert (found.auc, found.calibration_error, found.bias) == (0.5, pytest.approx(0.2), pytest.approx(0.2))


@pytest.mark.parametrize(
    ("scores", "labels", "reason", "defined"),
    [
        ([], [], NO_LABELS, set()),
        ([0.1, 0.2], [NAN, NAN], NO_LABELS, set()),
        ([NAN, 0.2], [1, NAN], NO_SCORES, set()),
        ([0.1, 0.2], [0, 0], ONE_CLASS, {"log_loss", "brier", "calibration_error"}),
        ([0.1, 0.2], [1, 1], ONE_CLASS, {"log_loss", "brier", "calibration_error"}),
        ([-3.0, 2.0, 1.0], [0, 1, 0], NO_PROBABILITY, {"auc"}),
        ([-3.0, 2.0], [1, 1], f"{ONE_CLASS}, {NO_PROBABILITY}", set()),
    ],
)
def test_what_is_not_defined_is_null_with_a_reason(
    scores: list[float], labels: list[float], reason: str, defined: set[str]
) -> None:
    found = measure(np.array(scores, dtype=float), np.array(labels, dtype=float), kind="binary")
    assert found.reason == reason
    figures = {"auc", "log_loss", "brier", "calibration_error"}
    assert {name for name in figures if getattr(found, name) is not None} == defined
    assert found.mae is None


@settings(max_examples=50, deadline=None)
@given(arrays(np.float64, (2, 9), elements=st.floats(-1e6, 1e6)))
def test_errors_of_numbers_are_those_of_scikit_learn(data: Floats) -> None:
    scores, labels = data
    found = measure(scores, labels, kind="regression")
    assert found.mae == pytest.approx(mean_absolute_error(labels, scores))
    assert found.rmse == pytest.approx(root_mean_squared_error(labels, scores))
    assert found.bias == pytest.approx(scores.mean() - labels.mean(), abs=1e-6)
    assert (found.auc, found.positives, found.reason) == (None, None, "")
