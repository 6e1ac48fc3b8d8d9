"""Metrics and baselines."""

from pathlib import Path

import evaluation
import numpy as np
import pytest
from feeding import TrainingSet, read_rows


def test_calibrated_predictions_have_no_calibration_error() -> None:
    labels = np.tile([0, 0, 0, 1], 100)
    assert evaluation.calibration_error(labels, np.full(400, 0.25)) < 0.02
    assert evaluation.calibration_error(labels, np.full(400, 0.75)) == pytest.approx(0.5, abs=0.02)


def test_metrics_of_a_perfect_and_of_a_useless_model() -> None:
    labels = np.array([0, 1, 0, 1])
    perfect = evaluation.metrics(labels, labels.astype(float))
    assert (perfect["auc"], round(perfect["log_loss"], 4)) == (1.0, 0.0)
    useless = evaluation.metrics(labels, np.full(4, 0.5))
    assert (useless["auc"], useless["brier"]) == (0.5, 0.25)


def test_logistic_regression_beats_the_base_rate(training_folder: Path) -> None:
    data = TrainingSet.open(training_folder)
    train, valid = read_rows(data, "train"), read_rows(data, "valid")
    logistic = evaluation.logistic_regression(train, valid, vocabulary_sizes=[2, 3])
    base = evaluation.base_rate(train, valid)
    assert evaluation.metrics(valid.labels, logistic)["auc"] > 0.6
    losses = [evaluation.metrics(valid.labels, p)["log_loss"] for p in (logistic, base)]
    assert losses[0] < losses[1]
