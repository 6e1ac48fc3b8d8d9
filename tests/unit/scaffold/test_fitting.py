"""Everything that keeps a table from a model is told at once."""

import pyarrow as pa
import pytest

from lockstep.run.plan import Column, ModelIdentity
from lockstep.scaffold.errors import InputUnfit, NameUnusable, SpecExists
from lockstep.scaffold.fitting import require_fit
from lockstep.scaffold.writing import require_absent, write_folder


def model(*outputs: str) -> ModelIdentity:
    inputs = (
        Column(name="age", dtype="long"),
        Column(name="spend", dtype="double"),
        Column(name="city", dtype="string"),
    )
    declared = tuple(Column(name=name, dtype="double") for name in outputs or ("risk",))
    return ModelIdentity(name="churn", version=1, digest="0" * 64, location="here", inputs=inputs, outputs=declared)


def test_all_problems_come_at_once_each_with_a_way_on() -> None:
    columns = {"Age": pa.int64(), "spend": pa.decimal128(9, 2), "city": pa.string()}
    with pytest.raises(InputUnfit) as caught:
        require_fit(columns, model(), table="sales")
    told = str(caught.value)
    assert "age: expected long, not there; the table has 'Age'" in told
    assert "spend: expected double, got decimal128(9, 2) (CAST(... AS DOUBLE)" in told
    assert "city" not in told.partition("Nothing was written")[0].partition(":\n")[2]


def test_an_output_must_be_a_column_of_a_table() -> None:
    columns = {"age": pa.int32(), "spend": pa.float32(), "city": pa.large_string()}
    require_fit(columns, model(), table="sales")
    with pytest.raises(NameUnusable, match="output '0' cannot be a column"):
        require_fit(columns, model("0"), table="sales")


def test_what_is_there_stays(tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "churn").mkdir()
    (tmp_path / "churn" / "mine.txt").write_text("mine")
    with pytest.raises(SpecExists):
        require_absent(tmp_path / "churn")
    with pytest.raises(SpecExists):
        write_folder(tmp_path / "churn", {"scoring.yaml": "name: churn"})
    assert [file.name for file in (tmp_path / "churn").iterdir()] == ["mine.txt"]
    assert [file.name for file in tmp_path.iterdir()] == ["churn"]
