import datetime as dt
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lockstep.publish.contract import Publication
from lockstep.quality.performance import measure
from lockstep.quality.performance_table import (
    LABEL,
    SCHEMA,
    SCORE,
    VERSION,
    PerformanceRow,
    performance_rows,
    pooled,
    to_table,
)

DAY = dt.date(2024, 3, 5)
NOON = dt.datetime(2024, 3, 6, 12, tzinfo=dt.UTC)


def live(**changes: Any) -> Publication:
    facts = {
        "warehouse": "w",
        "table": "scores",
        "partition": DAY,
        "token": 1,
        "run_key": "k",
        "spec": "parcels",
        "spec_hash": "s",
        "model_name": "m",
        "model_version": 1,
        "model_digest": "d",
        "rows": 8,
        "replaced_rows": 0,
        "outcome": "published",
        "published_at": NOON,
        "recorded_at": NOON,
        "run_folder": "r",
        "code_version": "0",
    }
    return Publication(**{**facts, **changes})


def rows(**changes: Any) -> pa.Table:
    """Eight rows of two versions."""
    columns = {
        SCORE: pa.array([0.1, 0.9, 0.4, 0.6, 0.2, 0.8, 0.3, None]),
        VERSION: pa.array([1, 1, 1, 1, 2, 2, 2, 2], pa.int64()),
        "depot": pa.array(["S", "S", "N", None, "S", "S", "N", "N"]),
        LABEL: pa.array([0.0, 1.0, 0.0, None, 1.0, 0.0, None, 1.0]),
    }
    return pa.table({**columns, **changes})


def measured(table: pa.Table, **changes: Any) -> list[PerformanceRow]:
    facts: dict[str, Any] = {"arm": "published", "kind": "binary", "segments": ["depot"], "min_rows": 1}
    return performance_rows(table, live(), **{**facts, **changes})


def test_every_version_and_every_value_of_a_segment_has_its_row() -> None:
    found = measured(rows())
    places = [(row.model_version, row.segment_column, row.segment_value, row.row_count) for row in found]
    assert places == [
        (1, None, None, 4),
        (1, "depot", "N", 1),
        (1, "depot", "S", 2),
        (2, None, None, 4),
        (2, "depot", "N", 2),
        (2, "depot", "S", 2),
    ]
    assert [row.auc for row in found if row.is_whole_day] == [1.0, 0.0]
    assert [row.labelled_count for row in found] == [3, 1, 2, 3, 1, 2]
    assert [row.measured_count for row in found] == [3, 1, 2, 2, 0, 2]
    assert found[4].reason == "no scores"


def test_null_is_a_value_and_few_labels_are_not_reported() -> None:
    known = rows(**{LABEL: pa.array([0.0, 1.0] * 4)})
    assert ("depot", None) in [(row.segment_column, row.segment_value) for row in measured(known)]
    assert {row.segment_value for row in measured(known, min_rows=2)} == {None, "S", "N"}
    assert all(row.is_whole_day for row in measured(known, min_rows=3))


def test_rows_become_the_declared_table() -> None:
    table = to_table(measured(rows()))
    assert table.schema.equals(SCHEMA)
    assert [PerformanceRow.model_validate(row) for row in table.to_pylist()] == measured(rows())
    assert set(PerformanceRow.model_fields) == set(SCHEMA.names)
    assert to_table([]).schema.equals(SCHEMA)


@pytest.mark.parametrize("kind", [pa.int32(), pa.float32(), pa.bool_()])
def test_scores_and_segments_may_be_of_other_types(kind: pa.DataType) -> None:
    table = rows(**{SCORE: pa.array([0, 1, 0, 1, 0, 1, 0, None], pa.int64()).cast(kind), "depot": pa.array(range(8))})
    found = measured(table)
    assert [row.measured_count for row in found if row.is_whole_day] == [3, 2]
    assert {row.segment_value for row in found if row.model_version == 1} == {None, "0", "1", "2"}


def test_means_of_days_are_the_figures_of_all_rows() -> None:
    random = np.random.default_rng(3)
    scores, labels = random.random(300), (random.random(300) < 0.3).astype(float)
    parts = [slice(0, 50), slice(50, 300)]
    for kind in ("binary", "regression"):
        whole = measure(scores, labels, kind=kind)
        days = [
            performance_rows(
                pa.table({SCORE: scores[p], LABEL: labels[p], VERSION: np.ones(len(scores[p]), np.int64)}),
                live(),
                arm="published",
                kind=kind,
                segments=(),
                min_rows=1,
            )[0]
            for p in parts
        ]
        for figure in ("log_loss", "brier", "bias") if kind == "binary" else ("mae", "rmse", "bias"):
            assert pooled(days, figure) == pytest.approx(getattr(whole, figure), abs=1e-12)
    assert pooled(days, "auc") is None


def test_auc_of_days_is_weighted_by_pairs() -> None:
    shared = measured(rows())[0]
    days = [
        shared.model_copy(update={"auc": 1.0, "measured_count": 4, "positive_count": 2}),
        shared.model_copy(update={"auc": 0.5, "measured_count": 4, "positive_count": 1}),
        shared.model_copy(update={"auc": None, "measured_count": 99, "positive_count": 0}),
    ]
    assert pooled(days, "auc") == pytest.approx((4 * 1.0 + 3 * 0.5) / 7)
