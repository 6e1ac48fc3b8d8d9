"""What somebody may have meant."""

import pytest

from lockstep.errors.suggestions import did_you_mean, nearest


@pytest.mark.parametrize("name", ["chrun", "Churn", "churn2", "chur-n"])
def test_a_slip_finds_its_name(name: str) -> None:
    assert nearest(name, ["churn", "flight_delay"]) == "churn"


def test_dashes_are_no_difference() -> None:
    assert did_you_mean("flight-delay", ["churn", "flight_delay"]) == " Did you mean 'flight_delay'?"


def test_nothing_is_said_where_nothing_is_like_it() -> None:
    assert did_you_mean("zebra", ["churn"]) == did_you_mean("churn", []) == ""
