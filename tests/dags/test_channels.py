"""Each channel against a real server: what arrives, and what happens when nobody is there."""

import json
import logging
import socket
import time

import pytest

from lockstep.airflow import channels
from lockstep.airflow.channels import Message, send
from lockstep.specs.alerts_spec import Alert
from tests.dags.receivers import silent, smtp, web

MESSAGE = Message(
    event="refused",
    title="churn 2024-01-01 was refused: nothing was published",
    reason="gate of partition 2024-01-01 failed:\n  age: got 3 < 5 & {{ ti.task_id }}",
    facts={"Spec": "churn", "Model": "churn, version 3"},
    links={"DAG run": "http://airflow.test/dags/score_churn/runs/b"},
)
SECRET = "T000/B000/topsecret"


def test_slack_gets_a_text_at_the_address_of_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    with web() as server:
        facts = {"conn_type": "slackwebhook", "host": server.url("/services"), "password": SECRET}
        monkeypatch.setenv("AIRFLOW_CONN_OPS", json.dumps(facts))
        assert send(Alert(to="slack", connection="ops"), MESSAGE)
        ((path, headers, body),) = server.got
    assert path == f"/services/{SECRET}"
    assert headers["Content-Type"] == "application/json"
    assert body["text"].startswith("*churn 2024-01-01 was refused")
    assert "3 &lt; 5 &amp; {{ ti.task_id }}" in body["text"]
    assert "<http://airflow.test/dags/score_churn/runs/b|DAG run>" in body["text"]


def test_a_webhook_gets_json_and_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    with web() as server:
        uri = f"http://:t0ken@127.0.0.1:{server.port}/hooks/a?headers=%7B%22X-Team%22%3A+%22ml%22%7D"
        monkeypatch.setenv("AIRFLOW_CONN_HOOK", uri)
        facts = {"conn_type": "http", "schema": "http", "host": "127.0.0.1", "port": server.port}
        monkeypatch.setenv("AIRFLOW_CONN_FORM", json.dumps({**facts, "extra": {"endpoint": "/hooks/b"}}))
        monkeypatch.setenv("OPS_URL", server.url("/hooks/c"))
        for place in ({"connection": "hook"}, {"connection": "form"}, {"env": "OPS_URL"}):
            assert send(Alert(to="webhook", **place), MESSAGE)
    assert [path for path, _, _ in server.got] == ["/hooks/a", "/hooks/b", "/hooks/c"]
    assert server.got[0][1]["Authorization"] == "Bearer t0ken"
    assert server.got[2][2] == MESSAGE.as_json()
    assert server.got[2][2]["version"] == 1


def test_a_mail_says_the_same_and_runs_no_template(monkeypatch: pytest.MonkeyPatch) -> None:
    with smtp() as (port, mails):
        extra = {"from_email": "lockstep@example.test", "disable_ssl": True, "disable_tls": True}
        facts = {"conn_type": "smtp", "host": "127.0.0.1", "port": port, "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(facts))
        assert send(Alert(to="email", address=("a@example.test", "b@example.test")), MESSAGE)
    (mail,) = mails
    assert mail["Subject"] == MESSAGE.title
    assert mail["To"] == "a@example.test, b@example.test"
    text = mail.get_body(("html",)).get_content()
    assert "3 &lt; 5 &amp; {{ ti.task_id }}" in text
    assert 'href="http://airflow.test/dags/score_churn/runs/b"' in text


def test_a_server_that_stumbles_is_asked_again_and_one_that_refuses_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    with web() as server:
        monkeypatch.setenv("OPS_URL", server.url())
        server.answers = [503, 200]
        assert send(Alert(to="webhook", env="OPS_URL"), MESSAGE)
        server.answers = [404]
        assert not send(Alert(to="webhook", env="OPS_URL"), MESSAGE)
        server.answers = [302]
        assert not send(Alert(to="webhook", env="OPS_URL"), MESSAGE)
        assert len(server.got) == 4


@pytest.mark.parametrize("channel", ["webhook", "email"])
def test_a_receiver_that_is_down_or_silent_costs_a_warning_and_little_time(
    channel: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(channels, "SEND_TIMEOUT_S", 0.6 if channel == "webhook" else 15.0)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed = unused.getsockname()[1]
    places = {"connection": "x", "address": ("a@b.c",)} if channel == "email" else {"connection": "x"}
    extra = {"disable_ssl": True, "timeout": 1, "retry_limit": 0, "from_email": "l@b.c"}
    with silent() as mute:
        for port in (closed, mute):
            facts = {"conn_type": "http", "schema": "http", "host": "127.0.0.1", "port": port, "password": SECRET}
            monkeypatch.setenv("AIRFLOW_CONN_X", json.dumps({**facts, "extra": extra}))
            began = time.monotonic()
            with caplog.at_level(logging.WARNING, "lockstep.alerts"):
                assert not send(Alert(to=channel, **places), MESSAGE)
            assert time.monotonic() - began < 5
    assert caplog.text.count("could not tell") == 2
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    ("alert", "says"),
    [
        (Alert(to="webhook", env="NOT_SET"), "variable NOT_SET is not set"),
        (Alert(to="slack", env="A_FILE"), "no http or https address"),
        (Alert(to="slack", connection="nobody_made_it"), "nobody_made_it"),
    ],
)
def test_a_place_that_is_none_is_named(
    alert: Alert, says: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("A_FILE", "file:///etc/passwd")
    with caplog.at_level(logging.WARNING, "lockstep.alerts"):
        assert not send(alert, MESSAGE)
    assert says in caplog.text
