from pathlib import Path
from typing import Any

import pytest

from lockstep.errors import SettingsError, SpecError
from lockstep.run.identity import spec_hash
from lockstep.specs.settings import Settings
from lockstep.steps.online import online_shape
from tests.unit.steps.runs import make_spec


def test_an_online_store_decides_nothing_of_a_run(tmp_path: Path) -> None:
    without, online = make_spec(tmp_path).spec, make_spec(tmp_path, online={"keep_days": 7}).spec
    assert online.online is not None
    assert spec_hash(without, {}) == spec_hash(online, {})


def test_it_is_looked_up_by_the_key_without_the_day_unless_the_spec_says_otherwise(tmp_path: Path) -> None:
    for online, key, columns in (
        ({}, ("id",), ("risk",)),
        ({"key": ["depot"], "columns": ["risk", "id"]}, ("depot",), ("risk", "id")),
    ):
        spec = make_spec(tmp_path, online=online).spec
        assert spec.online is not None
        shape = online_shape(spec, spec.online)
        assert (shape.key, shape.columns) == (key, columns)


@pytest.mark.parametrize(
    ("online", "message"),
    [
        ({"key": ["city"]}, "'online' names 'city', which is not published: day, id, depot, risk are"),
        ({"columns": ["city"]}, "'online' names 'city'"),
        ({"key": ["day", "id"]}, "'online' names the partition column 'day'"),
        ({"columns": ["day"]}, "'online' names the partition column 'day'"),
        ({"columns": ["id"]}, "columns appear twice in the key and the columns of 'online': id"),
        ({"columns": ["risk", "risk"]}, "appear twice"),
        ({"keep_days": 0}, "greater than or equal to 1"),
        ({"ttl": 1}, "unknown key; known keys here: columns, keep_days, key, store"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, online: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        make_spec(tmp_path, online=online)


def test_a_key_of_nothing_but_the_day_is_no_key_of_a_lookup(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"'online\.key' is needed"):
        make_spec(tmp_path, key=["day"], online={})
    assert make_spec(tmp_path, key=["day"], online={"key": ["depot"]}).spec.online is not None


def test_stores_have_names_and_the_default_one_is_a_file_below_home(tmp_path: Path) -> None:
    settings = Settings.from_env(
        {"LOCKSTEP_HOME": str(tmp_path), "LOCKSTEP_ONLINE_STORE_FAST": "redis://somebody@cache:6379/2"}
    )
    assert settings.online_store("default") == f"sqlite:///{tmp_path}/online.db"
    assert settings.online_store("fast") == settings.online_store("Fast") == "redis://somebody@cache:6379/2"
    with pytest.raises(SettingsError, match=r"LOCKSTEP_ONLINE_STORE_SLOW is not set; expected sqlite:///path"):
        settings.online_store("slow")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("redis://:s3cret@cache:6379/0", "one with a password.*REDISCLI_AUTH"),
        ("redis://cache?password=s3cret", "one with a password"),
        ("memcached://cache", "something else"),
        ("online.db", "something else"),
    ],
)
def test_an_address_that_is_none_or_holds_a_secret_is_refused(value: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        Settings.from_env({"LOCKSTEP_ONLINE_STORE": value})
    assert "s3cret" not in str(caught.value)
