import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lockstep.data.outcomes import LabelQuery, labelled_rows, outcome_source, outcomes_of
from lockstep.data.snapshot import outcome_files
from lockstep.errors import ColumnMissing, ColumnTypeMismatch, LabelsUnusable
from lockstep.specs.input_spec import Source
from lockstep.specs.labels_spec import LabelSource
from tests.unit.steps.runs import make_spec

DAY = dt.date(2024, 3, 5)
SOURCE = Source(path="p arcels [1]", partition="day", days=(0, 1), columns={"id": "long", "late": "boolean"})
QUERY = "SELECT day, id, late AS label FROM outcomes"


def write(root: Path, day: dt.date, **columns: Any) -> Path:
    folder = root / SOURCE.path / f"day={day}"
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), folder / "0.parquet")
    return root


def published(ids: list[int | None]) -> pa.Table:
    count = len(ids)
    return pa.table({"day": pa.array([DAY] * count), "id": pa.array(ids, pa.int32()), "risk": [0.5] * count})


def query(text: str = QUERY, **changes: Any) -> LabelQuery:
    facts: dict[str, Any] = {"origin": "label.sql", "key": ["day", "id"], "carried": ["day", "id"], "binary": True}
    return LabelQuery(text=text, **{**facts, **changes})


def labels(root: Path, rows: pa.Table, asked: LabelQuery | None = None) -> list[Any]:
    outcomes = outcomes_of(SOURCE, outcome_files(SOURCE, DAY, root), root)
    found = labelled_rows(rows, outcomes, asked or query(), columns={"id": "id", "score": "risk"}, day=DAY)
    assert found.column_names == ["id", "score", "label"]
    return [
        label for _, label in sorted(zip(found["id"].to_pylist(), found["label"].to_pylist(), strict=True), key=str)
    ]


def test_every_published_row_has_its_label_or_none(tmp_path: Path) -> None:
    write(tmp_path, DAY, id=[1, 2, 9], late=[True, None, True], secret=["x", "y", "z"])
    write(tmp_path, DAY + dt.timedelta(days=1), id=[3], late=[True])
    assert labels(tmp_path, published([1, 2, 3])) == [1.0, None, None]
    later = query("SELECT day - INTERVAL 1 DAY AS day, id, late::INT AS label FROM outcomes;")
    assert labels(tmp_path, published([1, 2, 3]), later) == [None, None, 1.0]


def test_outcomes_that_are_not_there_label_nothing_and_rows_without_one_can_be_negative(tmp_path: Path) -> None:
    assert labels(tmp_path, published([1, 2])) == [None, None]
    absent = query("SELECT s.day, s.id, o.id IS NOT NULL AS label FROM scores s LEFT JOIN outcomes o USING (day, id)")
    assert labels(tmp_path, published([1, 2]), absent) == [0.0, 0.0]
    write(tmp_path, DAY, id=[2], late=[True])
    assert labels(tmp_path, published([1, 2]), absent) == [0.0, 1.0]


def test_a_null_in_a_key_is_a_value_and_nan_is_no_label(tmp_path: Path) -> None:
    write(tmp_path, DAY, id=pa.array([None, 1], pa.int64()), late=[True, False])
    assert labels(tmp_path, published([1, None])) == [0.0, 1.0]
    nothing = query("SELECT day, id, 'nan'::DOUBLE AS label FROM outcomes", binary=False)
    assert labels(tmp_path, published([1, None]), nothing) == [None, None]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SELEKT", r"the query label\.sql failed: Parser Error"),
        ("SELECT secret FROM outcomes", r"failed: Binder Error.*secret"),
        ("SELECT * FROM read_parquet('/etc/*')", "failed: PermissionException"),
        ("SELECT * FROM published", "failed: Catalog Error"),
        ("SELECT day, id, 'secret' AS label FROM outcomes", r"failed: ConversionException\. "),
        ("SELECT day, id, 2 AS label FROM outcomes", "gives 2 labels other than 0 and 1"),
        ("SELECT day, 1 AS id, 1 AS label FROM outcomes", "gives 1 rows more than one label"),
        ("SELECT 1 AS label; DROP VIEW scores", "failed: Parser Error"),
    ],
)
def test_a_query_that_gives_no_labels_says_why_without_a_value(tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path, DAY, id=[1, 2], late=[True, False], secret=["x", "y"])
    with pytest.raises(LabelsUnusable, match=message):
        labels(tmp_path, published([1, 2]), query(text))


def test_columns_that_are_not_there_are_named(tmp_path: Path) -> None:
    write(tmp_path, DAY, id=[1], late=[True])
    with pytest.raises(ColumnMissing, match=r"column 'label' is missing in the result of label\.sql"):
        labels(tmp_path, published([1]), query("SELECT day, id FROM outcomes"))
    with pytest.raises(ColumnMissing, match="missing in the published rows"):
        labels(tmp_path, published([1]).drop_columns(["risk"]))
    write(tmp_path, DAY, id=[1])
    with pytest.raises(ColumnMissing, match="'late'"):
        outcome_files(SOURCE, DAY, tmp_path)
    write(tmp_path, DAY, id=["1"], late=[True])
    with pytest.raises(ColumnTypeMismatch, match="'id'"):
        outcome_files(SOURCE, DAY, tmp_path)


def test_a_source_of_the_input_is_read_with_days_of_its_own(tmp_path: Path) -> None:
    spec = make_spec(tmp_path).spec
    found = outcome_source(spec, LabelSource.model_validate("past"))
    assert (found.path, found.partition, found.days, list(found.columns)) == ("parcels", "day", (0, 0), ["late"])
    static = outcome_source(spec, LabelSource(path="returns", columns={"id": "long"}))
    assert (static.partition, static.days) == (None, None)
    (tmp_path / "returns").mkdir()
    pq.write_table(pa.table({"id": [1]}), tmp_path / "returns" / "0.parquet")
    rows = outcomes_of(static, outcome_files(static, DAY, tmp_path), tmp_path)
    assert rows.to_table().to_pydict() == {"id": [1]}
