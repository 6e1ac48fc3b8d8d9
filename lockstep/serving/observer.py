"""Around every request: an id, a log line without data, and the counters. Plain ASGI, so that it costs little."""

import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from lockstep.serving.data_plane import Trace
from lockstep.serving.metrics import Metrics

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

REQUEST_ID_HEADER = b"x-request-id"
SAFE_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
NO_ANSWER = 500

_log = logging.getLogger("lockstep.access")


def edge_of(path: str) -> str:
    """Name the edge of a path."""
    if path == "/v2" or path.startswith("/v2/"):
        return "open_inference"
    return "invocations" if path in {"/invocations", "/ping", "/health", "/version"} else "other"


class Observer:
    """ASGI middleware: wraps the whole application."""

    def __init__(self, app: App, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass a request through and observe it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        trace = Trace(_request_id(scope))
        scope["lockstep.trace"] = trace
        status = NO_ANSWER

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (REQUEST_ID_HEADER, trace.request_id.encode())]
            await send(message)

        clock, edge = time.perf_counter(), edge_of(scope["path"])
        with self._metrics.in_progress.labels(edge).track_inprogress():
            try:
                await self._app(scope, receive, observed)
            finally:
                self._record(scope, trace, edge=edge, status=status, seconds=time.perf_counter() - clock)

    def _record(self, scope: Message, trace: Trace, *, edge: str, status: int, seconds: float) -> None:
        metrics = self._metrics
        metrics.requests.labels(edge, str(status)).inc()
        metrics.duration.labels(edge).observe(seconds)
        if status < 400:  # the others answered no row
            metrics.rows.labels(edge).inc(trace.rows)
        for stage, stage_seconds in trace.stages_s.items():
            metrics.stages.labels(stage).observe(stage_seconds)
        # The path is quoted (it may hold line breaks); the query string is left out.
        path, duration_ms = ascii(scope["path"][:200]), seconds * 1000
        _log.info(
            "%s %s %d rows=%d %.1fms id=%s", scope["method"], path, status, trace.rows, duration_ms, trace.request_id
        )


def _request_id(scope: Message) -> str:
    given: bytes | None = next((value for name, value in scope["headers"] if name == REQUEST_ID_HEADER), None)
    return given.decode() if given and SAFE_ID.fullmatch(given) else uuid.uuid4().hex
