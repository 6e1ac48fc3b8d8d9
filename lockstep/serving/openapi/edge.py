"""The routes of the document: for machines, and as a page for people."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import orjson

from lockstep.serving.data_plane import DataPlane
from lockstep.serving.exchange import Exchange, Headers, Reply
from lockstep.serving.openapi.document import ROLES, build_document
from lockstep.serving.openapi.page import policy, render_page
from lockstep.serving.openapi.view import View
from lockstep.serving.router import Route

PATH, PAGES = "/openapi.json", ("/docs", "/")
HTML = "text/html; charset=utf-8"
# Documents that are kept: one for each set of models that some client sees, until a version changes.
REMEMBERED = 8


@dataclass
class Described:
    """A document, and the page of it once somebody has asked for it."""

    document: bytes
    page: bytes | None = None


def openapi_routes(
    plane: DataPlane, routes: list[Route], *, open_roles: Collection[str] = ROLES, known: bool = False
) -> list[Route]:
    """Return the routes that describe all routes, themselves included.

    Args:
        plane: Says which models are served; the description changes with them, and leaves out what a client may not
            know of.
        routes: All others. The list is read when somebody asks, so that later additions are described too.
        open_roles: Actions that are open to everybody.
        known: Whether clients can say who they are.
    """
    made: dict[tuple[tuple[str, ...], ...], Described] = {}

    def described(exchange: Exchange) -> Described:
        permit = exchange.permit
        slots = [slot for slot in plane.fleet if permit is None or permit.sees(slot.name)]
        served = tuple(
            (slot.name, *(version.identity.digest for version in (slot.current, *slot.versions) if version is not None))
            for slot in slots
        )
        if served not in made:
            if len(made) >= REMEMBERED:
                made.clear()
            every = [*routes, *(route for route in own if route not in routes)]
            view = View(slots, default=plane.fleet.default)
            made[served] = Described(orjson.dumps(build_document(every, view, open_roles=open_roles, known=known)))
        return made[served]

    async def document(exchange: Exchange) -> Reply:
        return Reply(200, described(exchange).document)

    async def page(exchange: Exchange) -> Reply:
        found = described(exchange)
        if found.page is None:
            # In a thread: a page of wide models takes longer than a request should wait.
            found.page = await plane.run(_rendered, found.document, apart=True)
        return Reply(200, found.page, HTML, _page_headers())

    own = [
        Route("GET", PATH, document, "other", "read"),
        *(Route("GET", path, page, "other", "read") for path in PAGES),
    ]
    return own


def _rendered(document: bytes) -> bytes:
    parsed: dict[str, Any] = orjson.loads(document)
    return render_page(parsed).encode()


def _page_headers() -> Headers:
    return (
        ("content-security-policy", policy()),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-cache"),
    )
