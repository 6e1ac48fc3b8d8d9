"""Days and command line of a training run."""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lockstep.errors import DateInvalid
from lockstep.run.training import TrainingDays, retrain_asset, script_command, training_days
from lockstep.specs.settings import Settings
from lockstep.specs.spec import ScoringSpec

SOURCE = {"path": "s", "partition": "day", "days": [0, 0], "columns": {"day": "date"}}
NOW = dt.datetime(2026, 11, 20, 17, tzinfo=dt.UTC)
START = dt.date(2024, 1, 1)


def spec(**training: Any) -> ScoringSpec:
    return ScoringSpec.model_validate(
        {
            "name": "toy",
            "model": {"name": "toy_model"},
            "schedule": {"cron": "0 6 * * *", "start": START},
            "input": {"query": "q.sql", "sources": {"s": SOURCE}},
            "partition": {"column": "day"},
            "key": ["day", "id"],
            "output": {"column": "probability"},
            "publish": {"table": "t"},
            "training": {"script": "train.py", **training},
        }
    )


def days(first: dt.date | None = None, last: dt.date | None = None, **training: Any) -> TrainingDays:
    return training_days(spec(**training), first=first, last=last, now=NOW)


def test_without_any_day_the_latest_known_ones_are_taken() -> None:
    found = days(days=10, validation_days=5, label_delay_days=2)
    assert found.valid_last == dt.date(2026, 11, 17)  # 19 November is over, and known two days later
    assert found == TrainingDays(
        dt.date(2026, 11, 3), dt.date(2026, 11, 12), dt.date(2026, 11, 13), dt.date(2026, 11, 17)
    )


def test_the_form_wins_over_the_spec() -> None:
    declared = {"first_day": START, "last_day": dt.date(2024, 3, 1)}
    assert (days(**declared).first, days(**declared).last) == (START, dt.date(2024, 3, 1))
    asked = days(dt.date(2024, 2, 1), dt.date(2024, 5, 1), **declared)
    assert (asked.first, asked.last, asked.valid_first) == (
        dt.date(2024, 2, 1),
        dt.date(2024, 5, 1),
        dt.date(2024, 5, 2),
    )


@given(
    length=st.integers(1, 2000),
    validation=st.integers(1, 200),
    delay=st.integers(0, 60),
    last=st.none() | st.dates(START, dt.date(2026, 11, 30)),
)
def test_no_day_overlaps_another_and_no_outcome_is_guessed(
    length: int, validation: int, delay: int, last: dt.date | None
) -> None:
    try:
        found = days(last=last, days=length, validation_days=validation, label_delay_days=delay)
    except DateInvalid:
        assert last is not None
        assert last + dt.timedelta(days=validation) > dt.date(2026, 11, 19) - dt.timedelta(days=delay)
        return
    assert START <= found.first <= found.last < found.valid_first <= found.valid_last
    assert (found.valid_last - found.last).days == validation
    assert found.valid_last <= dt.date(2026, 11, 19) - dt.timedelta(days=delay)
    assert (found.last - found.first).days < length


@pytest.mark.parametrize(
    ("first", "last", "problem"),
    [
        (dt.date(2023, 12, 31), None, "is before schedule.start"),
        (dt.date(2024, 5, 1), dt.date(2024, 4, 1), "is no last training day"),
        (None, dt.date(2026, 11, 1), "whose outcomes are not known yet; the last training day may be 2026-10-18"),
    ],
)
def test_days_that_cannot_be_trained_on_are_refused(first: dt.date | None, last: dt.date | None, problem: str) -> None:
    with pytest.raises(DateInvalid, match=problem):
        days(first, last)


def test_the_script_gets_what_its_arguments_name(tmp_path: Path) -> None:
    settings = Settings.from_env({"LOCKSTEP_PROJECT": str(tmp_path), "MLFLOW_TRACKING_URI": "http://mlflow"})
    wanted = spec(arguments=["--to={last_day}", "--set", "{training_set}", "--as", "{alias}", "{{}}", "{tracking_uri}"])
    found = days(START, dt.date(2024, 3, 1))
    python, script, *arguments = script_command(wanted, found, settings=settings, environ={})
    assert Path(python) == tmp_path / ".venv/training/bin/python"
    assert Path(script) == tmp_path / "models/toy/train.py"
    folder = str(tmp_path / "var/retraining/toy")
    assert arguments == ["--to=2024-03-01", "--set", folder, "--as", "challenger", "{}", "http://mlflow"]
    own = {"LOCKSTEP_TRAINING_PYTHON": "/own/python", "LOCKSTEP_DATA_PYTHON": "/data/python"}
    assert script_command(wanted, found, settings=settings, environ=own)[0] == "/own/python"
    in_data = spec(environment="data")
    assert script_command(in_data, found, settings=settings, environ=own)[0] == "/data/python"


def test_whoever_asks_for_a_training_updates_this_asset() -> None:
    assert retrain_asset("flight_delay") == ("retrain/flight_delay", "lockstep://retrain/flight_delay")


@pytest.mark.parametrize(
    ("training", "problem"),
    [
        ({"alias": "champion"}, "must not be 'champion', by which the spec scores"),
        ({"arguments": ["{folder}"]}, "names folder in braces; known: training_set, alias"),
        ({"arguments": ["{"]}, "has a brace too many or too few"),
        ({"first_day": START, "last_day": dt.date(2023, 1, 1)}, "is before 'first_day'"),
        ({"script": "../train.py"}, "must be a path inside its own folder"),
    ],
)
def test_a_training_that_could_not_run_or_would_go_live_is_refused(training: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        spec(**training)
