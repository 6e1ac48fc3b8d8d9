import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lockstep.serving.security.api_keys import entry_text, follow_keys, new_api_key
from lockstep.serving.security.audit import AuditEvent, AuditLog, Line
from lockstep.serving.security.authenticator import Authenticator
from lockstep.serving.security.clients import client_with
from lockstep.serving.security.credentials import Credentials
from lockstep.serving.security.errors import Forbidden, RateLimited, RowsOverBurst, Unauthenticated
from lockstep.serving.security.guard import Guard
from lockstep.serving.security.rate_limit import Pace, RateLimiter
from lockstep.specs.serving_security import RateLimit, Rights
from tests.unit.serving.security.issuers import NOW

KEY, ENTRY = new_api_key("nightly", models=["churn"], roles=["infer", "admin"])
SENT = Credentials("192.0.2.1", api_key=KEY)


class World:
    """A guard with real parts, its clock, and what its audit log wrote."""

    def __init__(self, folder: Path, **limits: Any) -> None:
        path = folder / "keys.yaml"
        path.write_text("keys:\n" + entry_text(ENTRY))
        self.now = 0.0
        self._written: list[Line] = []
        self._audit = AuditLog(self._write, refusals=Pace(100, 100), clock=lambda: NOW, monotonic=lambda: self.now)
        self.guard = Guard(
            Authenticator(
                keys=follow_keys(path), anonymous=client_with("anonymous", "anonymous", [Rights(models=("*",))])
            ),
            limiter=RateLimiter(RateLimit.model_validate(limits)) if limits else None,
            audit=self._audit,
            clock=lambda: NOW,
            monotonic=lambda: self.now,
        )

    def _write(self, lines: Sequence[Line]) -> int:
        self._written.extend(lines)
        return 0

    def audited(self) -> list[dict[str, Any]]:
        """What was written so far, without its times."""
        self._audit.start()
        self._audit.close()
        found = [json.loads(line.text) for line in self._written]
        return [{name: value for name, value in line.items() if name != "time"} for line in found]


def test_who_may_is_let_through_and_leaves_no_trace(tmp_path: Path) -> None:
    world = World(tmp_path)
    client = world.guard.admit(SENT, action="infer", model="churn")
    assert client.name == "nightly"
    world.guard.charge_rows(client, SENT, rows=10**9)
    assert world.audited() == []


def test_who_is_not_known_is_refused_and_written_down(tmp_path: Path) -> None:
    world = World(tmp_path)
    with pytest.raises(Unauthenticated):
        world.guard.admit(Credentials("192.0.2.9", api_key="lsk_x"), action="infer", model="churn", request_id="r1")
    assert world.audited() == [
        {
            "action": "infer",
            "outcome": "unauthenticated",
            "peer": "192.0.2.9",
            "model": "churn",
            "reason": "unknown_key",
            "request_id": "r1",
        }
    ]


def test_who_may_not_is_refused_and_written_down(tmp_path: Path) -> None:
    world = World(tmp_path)
    with pytest.raises(Forbidden):
        world.guard.admit(SENT, action="infer", model="fraud", request_id="r2")
    assert world.audited() == [
        {
            "action": "infer",
            "outcome": "forbidden",
            "client": "nightly",
            "method": "api_key",
            "peer": "192.0.2.1",
            "model": "fraud",
            "request_id": "r2",
        }
    ]


def test_what_a_client_changed_is_written_down(tmp_path: Path) -> None:
    world = World(tmp_path)
    client = world.guard.admit(SENT, action="admin", model="churn")
    event = AuditEvent("admin", "failed", operation="load", model="churn", version="8", reason="ArtifactInvalid")
    world.guard.record(client, SENT, event)
    (line,) = world.audited()
    assert line == {
        "action": "admin",
        "outcome": "failed",
        "client": "nightly",
        "method": "api_key",
        "peer": "192.0.2.1",
        "operation": "load",
        "model": "churn",
        "version": "8",
        "reason": "ArtifactInvalid",
    }


def test_requests_count_also_those_that_are_forbidden(tmp_path: Path) -> None:
    world = World(tmp_path, requests_per_s=1, request_burst=2)
    for _ in range(2):
        with pytest.raises(Forbidden):
            world.guard.admit(SENT, action="infer", model="fraud")
    with pytest.raises(RateLimited):
        world.guard.admit(SENT, action="infer", model="fraud")
    world.now = 1.0
    world.guard.admit(SENT, action="infer", model="churn")


def test_rows_count_once_they_are_known(tmp_path: Path) -> None:
    world = World(tmp_path, rows_per_s=10, row_burst=100)
    client = world.guard.admit(SENT, action="infer", model="churn")
    world.guard.charge_rows(client, SENT, rows=90)
    with pytest.raises(RateLimited) as caught:
        world.guard.charge_rows(client, SENT, rows=20)
    assert caught.value.retry_after_s == 1
    world.now = 1.0
    world.guard.charge_rows(client, SENT, rows=20)
    with pytest.raises(RowsOverBurst):
        world.guard.charge_rows(client, SENT, rows=101)


def test_strangers_are_limited_by_address(tmp_path: Path) -> None:
    world = World(tmp_path, requests_per_s=100, anonymous={"requests_per_s": 1})
    world.guard.admit(Credentials("192.0.2.7"), action="infer", model="churn")
    with pytest.raises(RateLimited):
        world.guard.admit(Credentials("192.0.2.7"), action="infer", model="churn")
    world.guard.admit(Credentials("192.0.2.8"), action="infer", model="churn")
    world.guard.admit(SENT, action="infer", model="churn")
