"""How good scores were, once it is known what happened: figures of pairs of score and label, and nothing else.

Every figure is defined for the rows that have both, and none of them depends on the order of the rows.

- AUC: the share of (positive, negative) pairs in which the positive has the higher score, a tie counting half (Hanley
  and McNeil, "The meaning and use of the area under a ROC curve", Radiology 143, 1982).
- Log loss: scores are clipped to [eps, 1 - eps], with the eps of their own precision, as scikit-learn's `log_loss`.
- Brier score: mean squared difference (Brier, Monthly Weather Review 78, 1950).
- Calibration error: expected calibration error (Naeini, Cooper and Hauskrecht, AAAI 2015) over ten bins of equal mass,
  as Nguyen and O'Connor (EMNLP 2015) have them: |mean score - mean label| of each bin, weighted by its rows. Rows of
  one score share a bin.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Kind = Literal["binary", "regression"]
BINS = 10
NO_LABELS, NO_SCORES = "no labels", "no scores"
ONE_CLASS, NO_PROBABILITY = "one class only", "scores outside 0..1"


@dataclass(frozen=True)
class Figures:
    """What some rows tell; a figure that is not defined is `None`, and `reason` says why.

    Attributes:
        rows: All of them.
        labelled: Those with a label.
        measured: Those with a label and a finite score, which all the following is about.
        positives: Measured rows with label 1; none for regression.
        bias: Mean score minus mean label; above 0 the model expects too much.
        mae, rmse: Mean absolute and root mean squared error, for regression.
    """

    rows: int
    labelled: int
    measured: int
    positives: int | None = None
    mean_score: float | None = None
    mean_label: float | None = None
    bias: float | None = None
    auc: float | None = None
    log_loss: float | None = None
    brier: float | None = None
    calibration_error: float | None = None
    mae: float | None = None
    rmse: float | None = None
    reason: str = ""


def measure(scores: Floats, labels: Floats, *, kind: Kind) -> Figures:
    """Compare scores with labels.

    Args:
        scores: `(rows,)`; NaN: the row has no score.
        labels: `(rows,)`; NaN: not labelled (yet). 0 or 1 when binary.
        kind: What the labels are.
    """
    known = ~np.isnan(labels)
    both = known & np.isfinite(scores)
    rows, labelled, measured = len(scores), int(known.sum()), int(both.sum())
    if not measured:
        positives = 0 if kind == "binary" else None
        return Figures(rows, labelled, 0, positives=positives, reason=NO_SCORES if labelled else NO_LABELS)
    order = np.lexsort((labels[both], scores[both]))  # the sums are then the same to the last bit, whatever came first
    s, y = scores[both][order], labels[both][order].astype(np.float64)
    mean_score, mean_label = float(s.mean(dtype=np.float64)), float(y.mean())
    figures = Figures(
        rows,
        labelled,
        measured,
        mean_score=mean_score,
        mean_label=mean_label,
        bias=mean_score - mean_label,
    )
    return _of_classes(figures, s, y) if kind == "binary" else _of_numbers(figures, s, y)


def _of_numbers(figures: Figures, scores: Floats, labels: Floats) -> Figures:
    gaps = scores.astype(np.float64) - labels
    return replace(figures, mae=float(np.abs(gaps).mean()), rmse=math.sqrt(float(np.square(gaps).mean())))


def _of_classes(figures: Figures, scores: Floats, labels: Floats) -> Figures:
    positives = int(labels.sum())
    mixed, odds = 0 < positives < figures.measured, bool(scores[0] >= 0 and scores[-1] <= 1)
    reasons = [text for text, holds in ((ONE_CLASS, not mixed), (NO_PROBABILITY, not odds)) if holds]
    return replace(
        figures,
        positives=positives,
        auc=_auc(scores, labels) if mixed else None,
        log_loss=_log_loss(scores, labels) if odds else None,
        brier=float(np.square(scores.astype(np.float64) - labels).mean()) if odds else None,
        calibration_error=_calibration_error(scores, labels) if odds else None,
        reason=", ".join(reasons),
    )


def _ties(scores: Floats) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return where each run of equal values begins in ascending scores, and how long it is."""
    starts = np.flatnonzero(np.concatenate([[True], scores[1:] != scores[:-1]]))
    return starts, np.diff(np.append(starts, len(scores)))


def _auc(scores: Floats, labels: Floats) -> float:
    """Count won pairs in whole numbers, so that nothing is rounded before the last division."""
    starts, counts = _ties(scores)
    positive = np.add.reduceat(labels.astype(np.int64), starts)
    negative = counts - positive
    below = np.cumsum(negative) - negative
    won_twice = int((positive * (2 * below + negative)).sum())
    return won_twice / (2 * int(positive.sum()) * int(negative.sum()))


def _log_loss(scores: Floats, labels: Floats) -> float:
    eps = np.finfo(scores.dtype).eps
    odds = np.clip(scores, eps, 1 - eps).astype(np.float64)
    return float(-np.where(labels == 1, np.log(odds), np.log1p(-odds)).mean())


def _calibration_error(scores: Floats, labels: Floats) -> float:
    starts, counts = _ties(scores)
    rows = len(scores)
    bins = BINS * (2 * starts + counts) // (2 * rows)  # of the middle of each run of equal scores
    gaps = np.add.reduceat(scores.astype(np.float64) - labels, starts)
    return float(np.abs(np.bincount(bins, weights=gaps, minlength=BINS)).sum() / rows)
