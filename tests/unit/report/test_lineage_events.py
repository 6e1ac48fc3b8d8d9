import json
import logging
from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import CheckFailed
from lockstep.report.lineage_events import is_wanted, lineage_events
from lockstep.run.folder import RunFolder
from lockstep.steps.publish import publish
from tests.unit.steps.runs import make_run, make_settings, pass_audit


def transport(file: Path) -> dict[str, str]:
    kind = {"type": "file", "log_file_path": str(file), "append": True}
    return {"AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(kind), "AIRFLOW__OPENLINEAGE__NAMESPACE": "ours"}


def told(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    root = tmp_path_factory.mktemp("run")
    folder = pass_audit(make_run(root))
    publish(folder, make_settings(root))
    return folder


def test_a_run_is_one_pair_of_events_with_its_table(folder: RunFolder, tmp_path: Path) -> None:
    file = tmp_path / "events"
    with lineage_events(folder, transport(file)):
        pass
    start, complete = told(file)
    assert [start["eventType"], complete["eventType"]] == ["START", "COMPLETE"]
    assert start["run"]["runId"] == complete["run"]["runId"]
    assert complete["job"]["namespace"] == "ours"
    assert complete["job"]["name"] == "lockstep_run.parcels"
    (table,) = complete["outputs"]
    assert table["name"].endswith(".main.parcel_scores")
    assert table["outputFacets"]["outputStatistics"]["rowCount"] == 40
    source, staged = complete["inputs"]
    assert source["name"].endswith("/parcels")
    assert {field["name"] for field in source["facets"]["schema"]["fields"]} == {"id", "km"}
    assert "dataQualityAssertions" in staged["inputFacets"]
    facet, plan = complete["run"]["facets"]["lockstep_scoringRun"], folder.plan(step="test")
    assert facet["runKey"] == plan.run_key
    assert facet["manifestSha256"]


@pytest.mark.parametrize(
    ("error", "state", "message"),
    [
        (CheckFailed("gate", partition="2024-01-01", failures=["age: 3"], report="/r"), "FAIL", "gate of partition"),
        (ValueError("a value of a row"), "FAIL", "ValueError"),
        (KeyboardInterrupt(), "ABORT", "KeyboardInterrupt"),
    ],
)
def test_a_run_that_ends_badly_says_why_and_no_more(
    folder: RunFolder, tmp_path: Path, error: BaseException, state: str, message: str
) -> None:
    file = tmp_path / "events"
    with pytest.raises(type(error)), lineage_events(folder, transport(file)):
        raise error
    _, end = told(file)
    assert end["eventType"] == state
    assert end["run"]["facets"]["errorMessage"]["message"].startswith(message)
    assert "a value of a row" not in json.dumps(end)


def test_lineage_that_cannot_be_told_costs_a_warning(
    folder: RunFolder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for value in ("{", '{"type": "pigeon"}', json.dumps({"type": "file", "log_file_path": f"{tmp_path}/no/folder"})):
        with caplog.at_level(logging.WARNING, "lockstep.lineage"):
            with lineage_events(folder, {"AIRFLOW__OPENLINEAGE__TRANSPORT": value}):
                pass
            assert caplog.records, value
        caplog.clear()


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, False),
        ({"AIRFLOW__OPENLINEAGE__TRANSPORT": ""}, False),
        ({"AIRFLOW__OPENLINEAGE__TRANSPORT": "{}"}, True),
        ({"AIRFLOW__OPENLINEAGE__TRANSPORT": "{}", "OPENLINEAGE_DISABLED": "true"}, False),
        ({"OPENLINEAGE_URL": "http://127.0.0.1:1"}, True),
        ({"OPENLINEAGE__TRANSPORT__TYPE": "console"}, True),
        ({"OPENLINEAGE_NAMESPACE": "ours"}, False),
    ],
)
def test_only_a_transport_turns_it_on(environ: dict[str, str], wanted: bool) -> None:
    assert is_wanted(environ) is wanted
