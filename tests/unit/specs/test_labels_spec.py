from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import SpecError
from lockstep.run.identity import spec_hash
from lockstep.specs.labels_spec import LIMITS
from tests.unit.steps.runs import make_spec

LABELS: dict[str, Any] = {"source": "past", "query": "label.sql"}


def test_labels_decide_nothing_of_a_run(tmp_path: Path) -> None:
    without, labelled = make_spec(tmp_path).spec, make_spec(tmp_path, labels={**LABELS, "segments": ["depot"]}).spec
    assert labelled.labels is not None
    assert spec_hash(without, {}) == spec_hash(labelled, {})


def test_limits_that_are_given_are_those_that_are_judged(tmp_path: Path) -> None:
    retrain = {"min_auc": 0.6, "max_bias": 0.1}
    labels = make_spec(tmp_path, labels={**LABELS, "retrain": retrain}).spec.labels
    assert labels is not None
    assert labels.retrain is not None
    assert labels.retrain.limits == retrain
    assert set(LIMITS) <= set(type(labels.retrain).model_fields)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": "returns"}, "'labels.source' 'returns' is none of input.sources: parcels, past"),
        ({"source": {"path": "returns"}}, "or 'path' and 'columns' of another table"),
        ({"source": {"name": "past", "path": "x", "columns": {"id": "long"}}}, "give the name of a source"),
        ({"source": {"path": "x", "columns": {"id": "long"}, "days": [1, 0]}}, "first <= last"),
        ({"segments": ["city"]}, "'labels.segments' names 'city', which is neither in key nor in passthrough"),
        ({"segments": ["depot", "depot"]}, "'segments' names a column twice"),
        ({"retrain": {"days": 3}}, "give at least one of min_auc"),
        ({"retrain": {"min_auc": 0.5, "days": 3, "min_days": 4}}, "'min_days' 4 is more than 'days' 3"),
        ({"retrain": {"max_mae": 1.0}}, "'retrain.max_mae' is not for kind: binary"),
        ({"kind": "regression", "retrain": {"min_auc": 0.5}}, "'retrain.min_auc' is not for kind: regression"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        make_spec(tmp_path, labels={**LABELS, **changes})


def test_values_of_sensitive_columns_are_not_published(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="names 'depot', which is sensitive"):
        make_spec(tmp_path, sensitive=["depot"], labels={**LABELS, "segments": ["depot"]})
