"""The application: routes over one data plane, each request observed."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CONTENT_TYPE_LATEST

from lockstep.serving import invocations, open_inference
from lockstep.serving.access_log import AccessLog, Line
from lockstep.serving.answering import Describe, replying
from lockstep.serving.data_plane import DataPlane
from lockstep.serving.exchange import Exchange, HttpProtocol, Reply, Scope
from lockstep.serving.gauges import gauges
from lockstep.serving.metrics import Snapshot, text
from lockstep.serving.router import METHOD_NOT_ALLOWED, NOT_FOUND, Match, Route, Router, edge_of
from lockstep.serving.security.assembly import Security
from lockstep.serving.tracing.context import PARENT, STATE
from lockstep.serving.tracing.facts import http_facts
from lockstep.serving.tracing.request_span import note_parent
from lockstep.serving.workers.shared_metrics import all_text
from lockstep.specs.serving_security import Role

if TYPE_CHECKING:
    from lockstep.serving.tracing.tracing import Tracing

Beside = Callable[[], Coroutine[None, None, None]]

DRAIN_POLL_S = 0.01
DESCRIBE: dict[str, Describe] = {open_inference.EDGE: open_inference.describe_error}


class Application:
    """An endpoint as the server calls it: once for each request.

    Args:
        plane: Answers; closed when the server stops.
        routes: What is answered.
        log: Of the requests.
        beside: What runs for as long as the server does.
        security: Who may do what; none: everybody everything.
        tracing: Exports spans; none: there are none.

    Attributes:
        plane, security: As given.
    """

    def __init__(
        self,
        plane: DataPlane,
        routes: Sequence[Route],
        *,
        log: AccessLog,
        beside: Sequence[Beside] = (),
        security: Security | None = None,
        tracing: "Tracing | None" = None,
    ) -> None:
        self.plane = plane
        self.security = security
        self.router = Router(routes)
        self._log = log
        self._tracing = tracing
        self._beside = beside
        self._tasks: list[asyncio.Task[None]] = []
        self._metrics = plane.metrics
        self._metrics.more = self._more

    def __call__(self, scope: Scope, protocol: HttpProtocol) -> Coroutine[None, None, None]:
        """Take a request in; what is returned answers it."""
        self._metrics.in_progress += 1
        return self._reply(Exchange(scope, protocol))

    async def _reply(self, exchange: Exchange) -> None:
        match = self.router.match(exchange.method, exchange.path)
        exchange.params = match.params
        trace = exchange.trace
        trace.edge = match.route.edge if match.route is not None else edge_of(exchange.path)
        status = 499
        try:
            if self._tracing is not None or exchange.headers.get(PARENT) is not None:
                self._trace(exchange, match.route)
            work = self._work(exchange, match)
            reply = await replying(work, trace, describe=DESCRIBE.get(trace.edge, invocations.describe_error))
            exchange.send(reply)
            status = reply.status
        finally:
            seconds = time.perf_counter() - trace.began
            self._metrics.in_progress -= 1
            self._metrics.observe(trace, status, seconds)
            if trace.span is not None and self._tracing is not None:
                self._end_span(self._tracing, exchange, match.route, status=status)
            self._log.add(Line(time.time(), exchange.method, exchange.path, status, trace, seconds))

    def _trace(self, exchange: Exchange, route: Route | None) -> None:
        parents = exchange.headers.get_all(PARENT)
        if self._tracing is None:
            note_parent(exchange.trace, parents)
            return
        # Probes and Prometheus ask all day: they are in a trace when they bring one.
        root = route is not None and route.action not in {None, "metrics"}
        self._tracing.begin(exchange.trace, parents, exchange.headers.get_all(STATE), root=root)

    def _end_span(self, tracing: "Tracing", exchange: Exchange, route: Route | None, *, status: int) -> None:
        scheme = "http" if self.security is None or self.security.tls is None else "https"
        pattern = route.path if route is not None else None
        facts = http_facts(exchange.trace, exchange.method, exchange.path, route=pattern, status=status, scheme=scheme)
        tracing.end(exchange.trace, facts)

    def _work(self, exchange: Exchange, match: Match) -> Awaitable[Reply]:
        route = match.route
        if route is None:
            return _no_route(exchange, match)
        if route.action is None or self.security is None or route.action in self.security.open_roles:
            return route.handler(exchange)
        return self._guarded(exchange, route, action=route.action, security=self.security)

    async def _guarded(self, exchange: Exchange, route: Route, *, action: Role, security: Security) -> Reply:
        trace = exchange.trace
        model = exchange.params.get("name")
        if model is None and action == "infer":
            model = self.plane.fleet.default
        credentials = security.credentials(exchange.headers, peer=exchange.peer, certificate=exchange.certificate)
        permit = security.admit(credentials, action=action, model=model, request_id=trace.request_id)
        exchange.permit, trace.client = permit, permit.client.name
        with permit.covering(exchange.path.rpartition("/")[2], trace):
            return await route.handler(exchange)

    def _more(self) -> Snapshot:
        spans = self._tracing.dropped if self._tracing is not None else 0
        return gauges(self.plane, dropped={"access": self._log.dropped, "spans": spans})

    def start(self) -> None:
        """Start what runs beside the requests, in the running event loop."""
        if self.security is not None:
            self.security.start()
        self._log.start()
        if self._tracing is not None:
            self._tracing.start()
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(each()) for each in self._beside]

    async def drain(self, *, grace_s: float) -> None:
        """Take no new request, and wait until those in progress are answered, then until shadows have scored them.

        Args:
            grace_s: Longest time to wait for both.
        """
        self.plane.stopping = True
        ends = time.monotonic() + grace_s
        while (self._metrics.in_progress or self.plane.guests) and time.monotonic() < ends:
            await asyncio.sleep(DRAIN_POLL_S)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.plane.fleet.settle(), max(ends - time.monotonic(), 0.0))

    def close(self) -> None:
        """End threads and write what waits to be logged."""
        for task in self._tasks:
            task.cancel()
        self.plane.close()
        self._log.close()
        if self._tracing is not None:
            self._tracing.close()
        if self.security is not None:
            self.security.close()


def operations_routes(plane: DataPlane, *, folder: Path | None = None) -> list[Route]:
    """Return the routes for those who look after the endpoint.

    Args:
        plane: Whose metrics to tell.
        folder: Where the other workers of the endpoint write theirs; none: there are no others.
    """

    async def metrics(_: Exchange) -> Reply:
        own = plane.metrics.snapshot()
        found = text([own], process=True) if folder is None else all_text(folder, own)
        return Reply(200, found, CONTENT_TYPE_LATEST)

    return [Route("GET", "/metrics", metrics, "other", "metrics")]


def _no_route(exchange: Exchange, match: Match) -> Awaitable[Reply]:
    describe: Callable[[int, str], bytes] = DESCRIBE.get(exchange.trace.edge, invocations.describe_error)

    async def reply() -> Reply:
        message = f"no such endpoint: {exchange.method[:16]} on this path is not served"
        if match.allowed:
            allow = (("allow", ", ".join(match.allowed)),)
            return Reply(METHOD_NOT_ALLOWED, describe(METHOD_NOT_ALLOWED, message), headers=allow)
        return Reply(NOT_FOUND, describe(NOT_FOUND, message))

    return reply()
