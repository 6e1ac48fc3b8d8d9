"""What starts a run: the clock, assets, or both."""

import datetime as dt
from typing import Any

import pytest
from pydantic import ValidationError

from lockstep.specs.asset_ref import AssetRef
from lockstep.specs.spec import Schedule

START = dt.date(2013, 1, 1)


def schedule(**keys: Any) -> Schedule:
    return Schedule.model_validate({"start": START, **keys})


@pytest.mark.parametrize(
    ("value", "name", "uri"),
    [
        ("lake://flights", "lake://flights", "lake://flights"),
        ({"uri": "lake://flights"}, "lake://flights", "lake://flights"),
        ({"name": "flights", "uri": "lake://flights"}, "flights", "lake://flights"),
    ],
)
def test_a_text_alone_is_name_and_uri(value: Any, name: str, uri: str) -> None:
    (ref,) = schedule(assets=[value]).assets
    assert (ref.name, ref.uri) == (name, uri)


@pytest.mark.parametrize(
    ("uri", "problem"),
    [
        (" ", "ASCII"),
        ("lake://flüge", "ASCII"),
        ("airflow://x", "must not begin with airflow:"),
        ("s3://user:word@lake/flights", "must hold no credentials"),
        ("https://lake/flights?token=1", "must hold no credentials"),
    ],
)
def test_a_uri_that_airflow_or_a_log_cannot_have_is_refused(uri: str, problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        AssetRef.model_validate(uri)


def test_assets_with_or_without_cron() -> None:
    assert schedule(assets=["a"]).cron is None
    assert schedule(assets=["a"], cron="0 6 * * *").asset_days == "extra"
    assert schedule(assets=["a", "b"], asset_days="partition_key").cron is None


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({}, "give 'cron', 'assets' or both"),
        ({"cron": "0 6 * * *", "asset_days": "partition_key"}, "'asset_days' is for 'assets'"),
        ({"cron": "0 6 * * *", "assets": ["a"], "asset_days": "partition_key"}, "leave out 'cron'"),
    ],
)
def test_what_no_schedule_of_airflow_does_is_refused(keys: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        schedule(**keys)
