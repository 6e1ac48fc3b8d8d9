"""From method and path to the handler."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from lockstep.serving.exchange import Exchange, Reply
from lockstep.specs.serving_security import Role

Handler = Callable[[Exchange], Awaitable[Reply]]

# Paths whose handler is remembered; a bound, since anybody may ask for any path.
REMEMBERED = 1024
NOT_FOUND, METHOD_NOT_ALLOWED = 404, 405


@dataclass(frozen=True)
class Route:
    """One route.

    Attributes:
        method: GET or POST; GET answers HEAD too.
        path: With parameters in braces, each a part between slashes: `/v2/models/{name}/infer`.
        handler: Gives the reply.
        edge: Protocol that it belongs to; see `Trace.edge`.
        action: What a client must be allowed to do; none: open to all.
    """

    method: str
    path: str
    handler: Handler
    edge: str = "other"
    action: Role | None = None


@dataclass(frozen=True)
class Match:
    """What a request's method and path came to.

    Attributes:
        route: None: there is none.
        params: Parts of the path.
        allowed: Methods of the path, when it has others than the one asked for.
    """

    route: Route | None
    params: Mapping[str, str]
    allowed: tuple[str, ...] = ()


class Router:
    """All routes of an endpoint."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = tuple(routes)
        self._patterns = [(re.compile(_pattern(route.path)), route) for route in routes]
        self._found: dict[tuple[str, str], Match] = {}

    def match(self, method: str, path: str) -> Match:
        """Find the route of a request."""
        found = self._found.get((method, path))
        if found is None:
            found = self._search("GET" if method == "HEAD" else method, path)
            if len(self._found) < REMEMBERED and found.route is not None:
                self._found[(method, path)] = found
        return found

    def _search(self, method: str, path: str) -> Match:
        others = []
        for pattern, route in self._patterns:
            fits = pattern.fullmatch(path)
            if fits and route.method == method:
                return Match(route, fits.groupdict())
            if fits:
                others.append(route.method)
        return Match(None, {}, tuple(sorted(set(others))))


def edge_of(path: str) -> str:
    """Name the protocol that a path without a route belongs to, for the form of its error."""
    return "open_inference" if path == "/v2" or path.startswith("/v2/") else "other"


def _pattern(path: str) -> str:
    return re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(path))
