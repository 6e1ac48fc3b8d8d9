"""How good the model is, beside two baselines that anybody can build."""

import numpy as np
import numpy.typing as npt
from feeding import Rows
from network import moments
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

Floats = npt.NDArray[np.float64]
CALIBRATION_BINS = 10


def metrics(labels: npt.NDArray[np.int64], probabilities: Floats) -> dict[str, float]:
    """Return log loss, AUC, Brier score, calibration error and mean predicted and observed rate."""
    clipped = np.clip(probabilities, 1e-7, 1 - 1e-7)
    return {
        "log_loss": float(log_loss(labels, clipped)),
        "auc": float(roc_auc_score(labels, probabilities)),
        "brier": float(brier_score_loss(labels, clipped)),
        "calibration_error": calibration_error(labels, probabilities),
        "mean_predicted": float(probabilities.mean()),
        "observed_rate": float(labels.mean()),
    }


def calibration_error(labels: npt.NDArray[np.int64], probabilities: Floats) -> float:
    """Return the mean distance of predicted and observed rate over deciles of the prediction, weighted by rows."""
    order = np.argsort(probabilities, kind="stable")
    bins = np.array_split(order, CALIBRATION_BINS)
    gaps = [abs(float(probabilities[b].mean() - labels[b].mean())) * len(b) for b in bins if len(b)]
    return sum(gaps) / len(labels)


def base_rate(train: Rows, valid: Rows) -> Floats:
    """Predict the training rate for every row."""
    return np.full(len(valid.labels), train.labels.mean())


def logistic_regression(train: Rows, valid: Rows, *, vocabulary_sizes: list[int]) -> Floats:
    """Predict by logistic regression over one-hot codes, standardised numbers and missing flags."""
    mean, std = moments(train.numbers.astype(np.float32))

    def design(rows: Rows) -> npt.NDArray[np.float32]:
        scaled = np.nan_to_num((rows.numbers - mean) / std, nan=0.0)
        hot = [np.eye(size + 1, dtype=np.float32)[rows.codes[:, i]] for i, size in enumerate(vocabulary_sizes)]
        return np.concatenate([*hot, scaled, np.isnan(rows.numbers)], axis=1).astype(np.float32)

    model = LogisticRegression(max_iter=1000).fit(design(train), train.labels)
    return np.asarray(model.predict_proba(design(valid))[:, 1], dtype=np.float64)


def table(results: dict[str, dict[str, float]]) -> str:
    """Lay the results out as text, one model a line."""
    names = list(next(iter(results.values())))
    head = f"{'':22}" + "".join(f"{name:>19}" for name in names)
    body = [f"{model:22}" + "".join(f"{values[name]:19.4f}" for name in names) for model, values in results.items()]
    return "\n".join([head, *body])
