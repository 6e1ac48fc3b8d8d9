"""What a served model may say of its arms."""

import datetime as dt

import pytest
from pydantic import ValidationError

from lockstep.specs.routing_spec import Routing
from lockstep.specs.serving_spec import ServedModel

CANARY = {"alias": "next", "ramp": {"2026-01-01": 0.1, "2026-02-01": 0.5}, "by": ["id"]}


def test_by_default_the_spec_decides() -> None:
    routing = ServedModel.model_validate({"spec": "a"}).routing
    assert (routing.follow_spec, routing.canary, routing.shadows) == (True, None, ())


def test_a_ramp_gives_each_day_its_share() -> None:
    canary = Routing.model_validate({"canary": CANARY}).canary
    assert canary is not None
    days = [dt.date(2025, 12, 31), dt.date(2026, 1, 1), dt.date(2026, 1, 31), dt.date(2026, 2, 1)]
    assert [canary.fraction(day) for day in days] == [0.0, 0.1, 0.1, 0.5]


@pytest.mark.parametrize(
    ("served", "message"),
    [
        ({"spec": "a", "routing": {"canary": CANARY}}, "a model without a spec"),
        ({"model": {"name": "a"}, "routing": {"canary": {**CANARY, "by": []}}}, "at least 1"),
        ({"model": {"name": "a"}, "routing": {"canary": {**CANARY, "ramp": {}}}}, "at least 1"),
        ({"model": {"name": "a"}, "routing": {"canary": {**CANARY, "ramp": {"2026-01-01": 2}}}}, "less than or equal"),
        ({"model": {"name": "a"}, "routing": {"canary": CANARY, "shadows": ["next"]}}, "name an alias twice"),
        ({"spec": "a", "routing": {"shadows": ["b", "b"]}}, "name an alias twice"),
        ({"spec": "a", "routing": {"sample": 0}}, "greater than 0"),
        ({"spec": "a", "version": 3, "routing": {"shadows": ["b"]}}, "nothing to follow"),
    ],
)
def test_mistakes_are_named(served: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ServedModel.model_validate(served)
