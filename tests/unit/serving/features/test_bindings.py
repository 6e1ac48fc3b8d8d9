from typing import Any

import pytest
from pydantic import ValidationError

from lockstep.run.plan import Column
from lockstep.scoring.signature import Signature
from lockstep.serving.features.bindings import asked_signature, bound_sources
from lockstep.serving.features.errors import FeatureSourceInvalid
from lockstep.specs.features_spec import FeatureBinding
from lockstep.specs.serving_spec import ServedModel

SIGNATURE = Signature(
    (
        Column(name="city", dtype="string"),
        Column(name="age", dtype="double"),
        Column(name="face", dtype="float", shape=(8, 8)),
    ),
    (Column(name="risk", dtype="double"),),
)
FEAST = {
    "name": "people",
    "feast": {"url": "http://localhost:6566"},
    "keys": {"person_id": {"column": "person"}},
    "inputs": {"age": {"feature": "people:age"}},
}


def binding(**changes: Any) -> FeatureBinding:
    return FeatureBinding.model_validate({**FEAST, **changes})


def test_each_source_knows_its_keys_and_features() -> None:
    redis = {"location": "redis://localhost", "key": "p:{person_id}", "kinds": {"age": "double"}}
    first, second = bound_sources([binding(), binding(name="other", feast=None, redis=redis, share=0.5)])
    assert (first.source.name, first.keys, first.share) == ("people", {"person_id": "person"}, 0.3)
    assert (second.source.name, second.share) == ("other", 0.5)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"inputs": {"height": {"feature": "x"}}}, "people: 'height' is no input of churn"),
        ({"inputs": {"face": {"feature": "x"}}}, "'face' is a tensor"),
        ({"keys": {"person_id": {"column": "face"}}}, "'face' is a tensor"),
    ],
)
def test_what_does_not_fit_the_model_is_refused(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(FeatureSourceInvalid, match=problem):
        asked_signature(SIGNATURE, [binding(**changes)], title="churn")


def test_a_key_that_another_source_fills_in_is_refused() -> None:
    other = binding(name="cities", keys={"age": {"column": "age"}}, inputs={"city": {"feature": "x:city"}})
    with pytest.raises(FeatureSourceInvalid, match="cities: its key column 'age' is itself filled in"):
        asked_signature(SIGNATURE, [binding(), other], title="churn")


def test_a_token_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    given = binding(feast={"url": "http://localhost:6566", "token_env": "FEAST_TOKEN_OF_A_TEST"})
    with pytest.raises(FeatureSourceInvalid, match="FEAST_TOKEN_OF_A_TEST has no token"):
        bound_sources([given])
    monkeypatch.setenv("FEAST_TOKEN_OF_A_TEST", "secret")
    assert bound_sources([given])[0].source.token == "secret"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ({"features": [FEAST, FEAST]}, "'features' names 'age' twice"),
        ({"features": [{**FEAST, "feast": None}]}, "either 'redis' or 'feast'"),
        ({"features": [{**FEAST, "keys": {"p": {"column": "age"}}}]}, "both part of the key and filled in"),
        ({"lookup": True}, "'lookup' needs 'spec'"),
    ],
)
def test_a_configuration_that_cannot_work_is_refused(section: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        ServedModel.model_validate({"model": {"name": "churn"}, **section})
