"""The route of the document."""

from collections.abc import Collection

import orjson

from lockstep.serving.data_plane import DataPlane
from lockstep.serving.exchange import Exchange, Reply
from lockstep.serving.openapi.document import ROLES, build_document
from lockstep.serving.openapi.view import View
from lockstep.serving.router import Route

PATH = "/openapi.json"
# Documents that are kept: one for each set of models that some client sees, until a version changes.
REMEMBERED = 8


def openapi_routes(
    plane: DataPlane, routes: list[Route], *, open_roles: Collection[str] = ROLES, known: bool = False
) -> list[Route]:
    """Return the route that describes all routes, itself included.

    Args:
        plane: Says which models are served; the description changes with them, and leaves out what a client may not
            know of.
        routes: All others. The list is read when somebody asks, so that later additions are described too.
        open_roles: Actions that are open to everybody.
        known: Whether clients can say who they are.
    """
    made: dict[tuple[tuple[str, ...], ...], bytes] = {}

    async def document(exchange: Exchange) -> Reply:
        permit = exchange.permit
        slots = [slot for slot in plane.fleet if permit is None or permit.sees(slot.name)]
        served = tuple(
            (slot.name, *(version.identity.digest for version in (slot.current, *slot.versions) if version is not None))
            for slot in slots
        )
        if served not in made:
            if len(made) >= REMEMBERED:
                made.clear()
            every = routes if own in routes else [*routes, own]
            view = View(slots, default=plane.fleet.default)
            made[served] = orjson.dumps(build_document(every, view, open_roles=open_roles, known=known))
        return Reply(200, made[served])

    own = Route("GET", PATH, document, "other", "read")
    return [own]
