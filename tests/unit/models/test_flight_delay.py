"""The spec of `flight_delay` keeps the future out by what its sources show."""

from pathlib import Path

import pytest

from lockstep.specs.loading import load_spec
from lockstep.specs.spec import ScoringSpec

FOLDER = Path(__file__).parents[3] / "models" / "flight_delay"
OUTCOMES = {"dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"}


@pytest.fixture(scope="module")
def spec() -> ScoringSpec:
    return load_spec(FOLDER).spec


def test_the_scored_day_shows_no_outcome(spec: ScoringSpec) -> None:
    current = [source for source in spec.input.sources.values() if source.is_current]
    assert [source.path for source in current] == ["flights"]
    assert OUTCOMES.isdisjoint(current[0].columns)


def test_outcomes_are_of_days_that_were_over_before_the_scored_day_began(spec: ScoringSpec) -> None:
    for source in spec.input.sources.values():
        if OUTCOMES & set(source.columns):
            assert source.days is not None
            assert source.days[1] <= -2  # a flight of the day before may land on the scored day


def test_no_source_shows_a_later_day(spec: ScoringSpec) -> None:
    assert all(source.days is None or source.days[1] <= 0 for source in spec.input.sources.values())


def test_the_label_is_no_feature() -> None:
    query = (FOLDER / "features.sql").read_text()
    assert "label" not in query
    assert "outcomes" not in query.lower().replace("their outcomes", "")
