import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lockstep.cli.labels import app
from lockstep.errors import SpecError
from tests.unit.steps.labelled import LABELS, Depot, random_outcomes
from tests.unit.steps.runs import make_spec


class Judged(Depot):
    @property
    def changes(self) -> dict[str, object]:
        return {**super().changes, "labels": {**LABELS, "retrain": {"min_auc": 0.99, "min_days": 1}}}


def run(*args: str) -> str:
    result = CliRunner().invoke(app, list(args), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def depot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Depot:
    monkeypatch.setenv("LOCKSTEP_HOME", str(tmp_path))
    monkeypatch.setenv("LOCKSTEP_MODELS", str(tmp_path / "models"))
    depot = Judged(tmp_path)
    depot.publish()
    depot.happen([*random_outcomes()[:39], None])
    assert depot.spec.spec.labels, "which writes the query too"
    return depot


def test_measure_show_and_judge_tell_a_person_and_a_machine(depot: Depot) -> None:
    days = ("--from", "2024-03-05", "--to", "2024-03-06")
    said = json.loads(run("measure", "parcels", *days, "--json"))
    assert said["days"] == {"measured": ["2024-03-05"], "not_published": ["2024-03-06"]}
    assert said["performance"][0]["labelled_count"] == 39
    assert (said["without_labels"], said["arms"]) == ([], {"published": "parcel_scores"})
    again = run("measure", "parcels", "--date", "2024-03-05")
    assert "2024-03-05: unchanged" in again
    assert f"{depot.whole()[0].auc:.4f}" in again
    shown = json.loads(run("show", "parcels", "--segment", "depot", "--json"))
    assert [(row["segment_value"], row["row_count"]) for row in shown] == [("N", 26), ("S", 14)]
    assert "performance of parcel_scores" in run("show", "parcels")
    assert "exceeds min_auc 0.99: it is" in run("judge", "parcels")
    first, second = (json.loads(run("judge", "parcels", "--signal", who, "--json")) for who in "ab")
    assert (first["new"], second["new"], second["asked"]["signal"]) == (True, False, "a")
    assert "a new model was asked for on" in run("judge", "parcels")


def test_a_dry_run_shows_what_it_would_publish(depot: Depot) -> None:
    said = json.loads(run("measure", "parcels", "--date", "2024-03-05", "--dry-run", "--json"))
    assert (said["dry_run"], said["performance"][0]["labelled_count"]) == (True, 39)
    assert depot.read() == []


@pytest.mark.parametrize("days", [("--from", "2024-03-05"), ("--date", "2024-03-05", "--to", "2024-03-06")])
def test_days_that_say_too_little_are_refused(depot: Depot, days: tuple[str, ...]) -> None:
    assert CliRunner().invoke(app, ["measure", "parcels", *days]).exit_code == 2


def test_a_spec_without_labels_is_named(depot: Depot) -> None:
    make_spec(depot.root)
    with pytest.raises(SpecError, match="the spec has none"):
        run("judge", "parcels")
