from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from lockstep.specs.alerts_spec import NEEDS_A_PERSON, Alert


def alert(text: str) -> Alert:
    return Alert.model_validate(yaml.safe_load(text))


def test_a_bare_on_is_what_it_looks_like() -> None:
    assert alert("{on: [failed, drift_warning], to: slack, connection: ops}").on == ("failed", "drift_warning")
    assert alert("{'on': [deadline], to: slack, env: OPS_URL}").on == ("deadline",)
    assert alert("{to: webhook, env: OPS_URL}").on == NEEDS_A_PERSON


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{to: slack}", "needs either 'connection' or 'env'"),
        ("{to: webhook, connection: a, env: B}", "needs either 'connection' or 'env'"),
        ("{to: slack, env: B, address: [a@b.c]}", "no 'address'"),
        ("{to: email, connection: a}", "needs 'address'"),
        ("{to: email, address: [a@b.c], env: B}", "not an 'env'"),
        ("{to: email, address: [nobody]}", "must be an e-mail address"),
        ("{to: email, address: ['a@b.c, d@e.f']}", "must be an e-mail address"),
        ("{on: [], to: slack, env: B}", "at least 1"),
        ("{on: [melted], to: slack, env: B}", "Input should be"),
        ("{to: slack, env: B, channel: x}", "Extra inputs"),
    ],
)
def test_an_alert_that_reaches_nobody_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        alert(text)


@pytest.mark.parametrize("field", ["connection", "env"])
def test_a_secret_is_refused_and_not_repeated(field: str) -> None:
    facts: dict[str, Any] = {"to": "slack", field: "https://hooks.example/services/T0/B0/topsecret"}
    with pytest.raises(ValidationError) as caught:
        Alert.model_validate(facts)
    (error,) = caught.value.errors(include_input=False)
    assert "topsecret" not in str(error["msg"])


def test_logs_call_it_by_what_holds_the_secret() -> None:
    assert alert("{to: slack, connection: ops}").label == "slack ops"
    assert alert("{to: webhook, env: OPS_URL}").label == "webhook $OPS_URL"
    assert alert("{to: email, address: [a@b.c]}").label == "email a@b.c by smtp_default"
