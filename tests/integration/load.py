"""Clients that ask an endpoint again and again, for tests of what happens meanwhile."""

import abc
import collections
import contextlib
import http.client
import json
import threading
import time
from collections.abc import Callable
from typing import Any, Self

from endpoints import JSON, Endpoint, serving
from world import World

BODY = json.dumps({"inputs": {"city": ["bern"], "age": [3.0], "spend": [0.1]}}).encode()


# What anybody on this machine may do: without this they may not change what is served.
MANAGED = """
models: [{spec: churn}]
security: {anonymous: {models: "*", roles: [infer, read, metrics, admin]}}
"""


def managed(world: World, *args: str) -> contextlib.AbstractContextManager[Endpoint]:
    """Run `lockstep serve` so that anybody may load, unload and roll back."""
    config = world.home / "managed.yaml"
    config.write_text(MANAGED, encoding="utf-8")
    return serving(world, "--config", str(config), *args, spec=None)


def until(done: Callable[[], Any], *, seconds: float = 20.0) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.1)


class Asking(abc.ABC):
    """Clients, each in a thread with a connection of its own, until they are told to stop.

    Attributes:
        outcomes: Answers by status; see the classes.
        answers: Scores by the version that the answer names.
    """

    def __init__(self, clients: int, *, pause_s: float) -> None:
        self.outcomes: collections.Counter[str] = collections.Counter()
        self.answers: dict[str, set[float]] = collections.defaultdict(set)
        self.pause_s = pause_s
        self.stop = threading.Event()
        self._threads = [threading.Thread(target=self.ask) for _ in range(clients)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self._threads:
            thread.join()

    @abc.abstractmethod
    def ask(self) -> None:
        """Ask until `stop` is set."""


class Load(Asking):
    """Clients over REST; `broken` are requests without an answer."""

    def __init__(self, endpoint: Endpoint, clients: int, *, pause_s: float = 0.0) -> None:
        super().__init__(clients, pause_s=pause_s)
        self._endpoint = endpoint

    def ask(self) -> None:
        """Ask until told to stop; a connection that ends is made again."""
        while not self.stop.is_set():
            connection = http.client.HTTPConnection(*self._endpoint.address, timeout=20)
            with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
                while not self.stop.is_set():
                    self.outcomes["broken"] += 1
                    connection.request("POST", "/invocations", BODY, JSON)
                    answer = connection.getresponse()
                    content = answer.read()
                    self.outcomes["broken"] -= 1
                    self.outcomes[str(answer.status)] += 1
                    if answer.status == 200:
                        score = json.loads(content)["predictions"][0]["risk"]
                        self.answers[str(answer.getheader("x-lockstep-model-version"))].add(score)
                    time.sleep(self.pause_s)
