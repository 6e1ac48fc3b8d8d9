"""Sample rows of failed checks: off unless asked for, masked where marked, and in no message."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from lockstep.errors import CheckFailed
from lockstep.quality.samples import MASKED
from lockstep.quality.verdict import Verdict
from lockstep.run.folder import GATE, RunFolder
from lockstep.steps.gate import gate
from lockstep.steps.report import report
from tests.unit.steps.runs import make_run, make_settings, parcels

pytestmark = pytest.mark.slow

SECRET = 77_777.5
DEPOTS = ["SECRET-1", "SECRET-1", *(f"D{index}" for index in range(38))]
CHECKS = [
    ("expect_column_values_to_be_between", {"column": "km", "kwargs": {"max_value": 100}}),
    ("expect_column_values_to_be_unique", {"column": "depot"}),
    ("expect_column_values_to_not_match_regex", {"column": "depot", "kwargs": {"regex": "^SECRET"}}),
    ("expect_column_values_to_be_in_set", {"column": "id", "kwargs": {"value_set": list(range(39))}}),
    ("expect_column_value_lengths_to_be_between", {"column": "depot", "kwargs": {"max_value": 7}}),
    (
        "expect_column_value_z_scores_to_be_less_than",
        {"column": "km", "kwargs": {"threshold": 5, "double_sided": True}},
    ),
    ("expect_column_pair_values_a_to_be_greater_than_b", {"columns": ["id", "km"], "kwargs": {"mostly": 0.99}}),
    ("expect_column_mean_to_be_between", {"column": "km", "kwargs": {"max_value": 1}}),
]


def run(root: Path, **changes: Any) -> tuple[RunFolder, str]:
    km = pa.array([SECRET, *(float(index) for index in range(39))])
    folder = make_run(root, table=parcels(km=km, depot=pa.array(DEPOTS)), **changes)
    listed = [{"expectation": name, "why": "w", **facts} for name, facts in CHECKS]
    folder.file("spec", "checks", "gate.yaml").write_text(yaml.safe_dump({"expectations": listed}))
    with pytest.raises(CheckFailed) as caught:
        gate(folder, make_settings(root))
    report(folder, make_settings(root))
    return folder, str(caught.value)


def samples(folder: RunFolder) -> dict[str, Any]:
    found = folder.read_record(GATE, Verdict, step="test").results
    return {result.name: result.sample for result in found}


def holders(folder: RunFolder, text: str) -> set[str]:
    own = [path for path in folder.path.rglob("*") if path.suffix in {".json", ".html"}]
    return {path.relative_to(folder.path).as_posix() for path in own if text in path.read_text()} - {"manifest.json"}


def test_no_value_of_a_row_unless_asked_for(tmp_path: Path) -> None:
    folder, message = run(tmp_path)
    assert set(samples(folder).values()) == {None}
    for text in ("SECRET-1", "77777.5"):
        assert "SECRET-1" not in message
        assert {name for name in holders(folder, text) if not name.startswith("staging")} == set()


def test_samples_are_in_the_report_and_nowhere_else(tmp_path: Path) -> None:
    folder, message = run(tmp_path, checks={"samples": 2})
    found = samples(folder)
    assert found["expect_column_values_to_be_between"].columns == ("day", "id", "km")
    assert found["expect_column_values_to_be_between"].rows == (("2024-03-05 00:00:00", "0", "77777.5"),)
    for name in ("unique", "not_match_regex"):
        assert [row[2] for row in found[f"expect_column_values_to_{name.replace('unique', 'be_unique')}"].rows] == [
            "SECRET-1"
        ] * 2
    assert len(found["expect_column_values_to_be_in_set"].rows) == 1
    assert len(found["expect_column_value_lengths_to_be_between"].rows) == 2
    assert found["expect_column_value_z_scores_to_be_less_than"].rows[0][2] == "77777.5"
    assert found["expect_column_pair_values_a_to_be_greater_than_b"].rows[0] == ("2024-03-05 00:00:00", "0", "77777.5")
    assert found["expect_column_mean_to_be_between"] is None
    assert "SECRET-1" not in message
    assert {name for name in holders(folder, "SECRET-1") if not name.startswith("staging")} == {
        "gate.json",
        "report.html",
    }


def test_sensitive_columns_are_masked(tmp_path: Path) -> None:
    folder, _ = run(tmp_path, checks={"samples": 2}, sensitive=["depot", "id"])
    assert samples(folder)["expect_column_values_to_be_unique"].rows[0] == ("2024-03-05 00:00:00", MASKED, MASKED)
    assert {name for name in holders(folder, "SECRET-1") if not name.startswith("staging")} == set()
