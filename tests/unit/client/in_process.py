"""The client over an application instead of a socket."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from lockstep.client import Client
from lockstep.client.patience import Deadline
from lockstep.client.transport import Answered
from tests.unit.serving.toy import Answer, call

Before = Callable[["Sent"], Answered | None]


@dataclass(frozen=True)
class Sent:
    """A request."""

    method: str
    path: str
    body: bytes | None
    headers: Mapping[str, str]


@dataclass
class InProcess:
    """What the client takes for its transport.

    Attributes:
        app: Answers.
        before: Sees each request first, and may answer it.
        sent: All requests.
    """

    app: Any = None
    before: Before = lambda _: None
    sent: list[Sent] = field(default_factory=list)

    def send(
        self,
        method: str,
        path: str,
        *,
        deadline: Deadline,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answered:
        assert deadline.left_s > 0
        request = Sent(method, path, body, headers or {})
        self.sent.append(request)
        found = self.before(request)
        if found is not None:
            return found
        answer: Answer = call(self.app, path, body, headers=dict(headers or {}), method=method)
        return Answered(answer.status, answer.headers, answer.body)

    def close(self) -> None:
        """Nothing is open."""

    def client(self, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Client:
        monkeypatch.setattr("lockstep.client.rest.HttpTransport", lambda _: self)
        return Client("http://in.process:1", **options)
