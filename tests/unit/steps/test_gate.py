import json
from pathlib import Path

import pyarrow as pa
import pytest

from lockstep.errors import CheckFailed, ColumnMissing, StepOutOfOrder
from lockstep.run.folder import GATE, RunFolder
from lockstep.steps.checking import stop_on_warnings
from lockstep.steps.gate import gate
from lockstep.steps.request import warehouse_of
from tests.unit.steps.runs import make_run, make_settings, parcels

pytestmark = pytest.mark.slow


def test_a_good_input_passes_once(tmp_path: Path) -> None:
    folder, settings = make_run(tmp_path), make_settings(tmp_path)
    first, again = gate(folder, settings), gate(folder, settings)
    assert first == {"passed": True, "rows": 40, "checks": 5, "warnings": [], "reused": False}
    assert again == {**first, "reused": True}
    assert folder.file("gx", "gate", "index.html").is_file()
    assert [timing["step"] for timing in folder.timings()] == ["gate"]


@pytest.mark.parametrize("times", [1, 2])
def test_an_all_null_feature_stops_the_run(tmp_path: Path, times: int) -> None:
    folder = make_run(tmp_path, table=parcels(km=pa.nulls(40, pa.float64())))
    for _ in range(times):
        with pytest.raises(CheckFailed) as caught:
            gate(folder, make_settings(tmp_path))
    (line,) = caught.value.failures
    assert line == (
        "expect_column_values_to_not_be_null on km: got 40 of 40 rows that are null (100 %), "
        "expected no nulls in at least 50 % of rows (a dead sensor)"
    )
    assert "gate of partition 2024-03-05 failed; nothing was published" in str(caught.value)
    assert json.loads(folder.file(GATE).read_text())["passed"] is False


def test_a_warning_is_reported_and_stops_nothing(tmp_path: Path) -> None:
    folder = make_run(tmp_path, table=parcels(depot=pa.array(["X"] * 40)))
    (warning,) = gate(folder, make_settings(tmp_path))["warnings"]
    assert warning.startswith("expect_column_values_to_be_in_set on depot: got 40 of 40 rows")
    assert "X" not in warning.partition("got")[2]


def test_a_warning_stops_the_run_of_somebody_who_wants_none(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    folder = make_run(tmp_path, table=parcels(depot=pa.array(["X"] * 40)))
    gate(folder, settings)
    with pytest.raises(CheckFailed, match=r"set on depot: got 40 of 40 .* \(a warning; warnings stop this run\)"):
        stop_on_warnings("gate", folder, settings)
    (refusal,) = warehouse_of(folder.plan(step="gate"), settings).history("parcel_scores")
    assert (refusal.outcome, refusal.run_key) == ("refused", folder.plan(step="gate").run_key)
    assert gate(folder, settings)["reused"] is True  # to others it is what it was
    good = make_run(tmp_path / "good")
    gate(good, make_settings(tmp_path / "good"))
    stop_on_warnings("gate", good, make_settings(tmp_path / "good"))


def test_a_column_that_only_the_suite_knows_is_named(tmp_path: Path) -> None:
    folder = make_run(tmp_path)
    suite = folder.file("spec", "checks", "gate.yaml")
    suite.write_text(suite.read_text().replace("column: depot", "column: depots"))
    with pytest.raises(ColumnMissing, match="'depots' is missing in the input of partition 2024-03-05"):
        gate(folder, make_settings(tmp_path))


def test_too_few_rows_stop_the_run(tmp_path: Path) -> None:
    folder = make_run(tmp_path, limits={"min_rows": 41})
    with pytest.raises(CheckFailed, match=r"limits\.min_rows: got 40 rows, expected at least 41"):
        gate(folder, make_settings(tmp_path))


def test_it_needs_the_input(tmp_path: Path) -> None:
    with pytest.raises(StepOutOfOrder, match=r"needs plan\.json"):
        gate(RunFolder(tmp_path), make_settings(tmp_path))
