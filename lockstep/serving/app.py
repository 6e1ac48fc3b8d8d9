"""The ASGI application: routes over one data plane, each request observed."""

import time
from collections.abc import Awaitable, Callable

from prometheus_client import CONTENT_TYPE_LATEST

from lockstep.serving import invocations, open_inference
from lockstep.serving.access_log import AccessLog, Line
from lockstep.serving.answering import Describe, replying
from lockstep.serving.data_plane import DataPlane
from lockstep.serving.exchange import Exchange, Message, Receive, Reply, Send
from lockstep.serving.router import METHOD_NOT_ALLOWED, NOT_FOUND, Match, Route, Router, edge_of

DESCRIBE: dict[str, Describe] = {open_inference.EDGE: open_inference.describe_error}


class Application:
    """An endpoint as an ASGI application.

    Args:
        plane: Answers; closed when the server stops.
        log: Of the requests.
    """

    def __init__(self, plane: DataPlane, log: AccessLog | None = None) -> None:
        self.plane = plane
        self.router = Router(
            [*invocations.invocations_routes(plane), *open_inference.open_inference_routes(plane), *_operations(plane)]
        )
        self._log = log or AccessLog()
        self._metrics = plane.metrics

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request, or follow the server's start and stop."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._lifespan(receive, send)
            return
        exchange = Exchange(scope, receive)
        match = self.router.match(exchange.method, exchange.path)
        exchange.params = match.params
        trace = exchange.trace
        trace.edge = match.route.edge if match.route is not None else edge_of(exchange.path)
        self._metrics.in_progress.inc()
        status = 499
        try:
            work = match.route.handler(exchange) if match.route is not None else _no_route(exchange, match)
            reply = await replying(work, trace, describe=DESCRIBE.get(trace.edge, invocations.describe_error))
            await send({"type": "http.response.start", "status": reply.status, "headers": reply.head(trace.request_id)})
            await send({"type": "http.response.body", "body": reply.body})
            status = reply.status
        finally:
            seconds = time.perf_counter() - trace.began
            self._metrics.in_progress.dec()
            self._metrics.observe(trace, status, seconds)
            self._log.add(Line(time.time(), exchange.method, exchange.path, status, trace, seconds))

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self._log.start()
                await send({"type": "lifespan.startup.complete"})
            else:
                self.plane.close()
                self._log.close()
                await send({"type": "lifespan.shutdown.complete"})
                return


def build_app(plane: DataPlane) -> Application:
    """Build the ASGI application of an endpoint."""
    return Application(plane)


def _operations(plane: DataPlane) -> list[Route]:
    async def metrics(_: Exchange) -> Reply:
        return Reply(200, plane.metrics.text(), CONTENT_TYPE_LATEST)

    return [Route("GET", "/metrics", metrics, "other", "metrics")]


def _no_route(exchange: Exchange, match: Match) -> Awaitable[Reply]:
    describe: Callable[[int, str], bytes] = DESCRIBE.get(exchange.trace.edge, invocations.describe_error)

    async def reply() -> Reply:
        message = f"no such endpoint: {exchange.method[:16]} on this path is not served"
        if match.allowed:
            allow = (("Allow", ", ".join(match.allowed)),)
            return Reply(METHOD_NOT_ALLOWED, describe(METHOD_NOT_ALLOWED, message), headers=allow)
        return Reply(NOT_FOUND, describe(NOT_FOUND, message))

    return reply()
