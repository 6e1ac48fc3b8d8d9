"""The document, put together from routes, their descriptions and what is served."""

import re
from collections.abc import Collection, Sequence
from typing import Any

from lockstep import __version__
from lockstep.serving.openapi.operations import OPERATIONS, Operation
from lockstep.serving.openapi.responses import ERROR_SCHEMAS, HEADERS, error_responses, failures
from lockstep.serving.openapi.values import Schema
from lockstep.serving.openapi.view import View
from lockstep.serving.router import Route

ABOUT = (
    "Models of a registry, scored in real time as the nightly runs score them. GET operations answer HEAD too. Unknown "
    "query parameters and headers are not read. Where JSON is read, the bare tokens NaN, Infinity and -Infinity are "
    "numbers; NaN is a missing value, like null."
)
ROLES = ("infer", "read", "metrics", "admin")
# What a secured endpoint may answer to everybody.
GUARDED = (401, 403, 429, 503)
SECURITY_SCHEMES: dict[str, Schema] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key or a JSON Web Token."},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
REQUEST_ID: Schema = {
    "name": "X-Request-Id",
    "in": "header",
    "description": "For the logs and the answer; one that is not safe to write down is replaced.",
    "schema": {"type": "string"},
}


def build_document(
    routes: Sequence[Route], view: View, *, open_roles: Collection[str] = ROLES, known: bool = False
) -> dict[str, Any]:
    """Describe an endpoint.

    Args:
        routes: What it answers; of these, what `OPERATIONS` describes.
        view: What it serves.
        open_roles: Actions that are open to everybody.
        known: Whether clients can say who they are.
    """
    paths: dict[str, dict[str, Schema]] = {}
    for route in routes:
        operation = OPERATIONS.get((route.method, route.path))
        if operation is not None:
            guarded = route.action is not None and route.action not in open_roles
            described = _operation(operation, route, view, guarded=guarded, known=known)
            paths.setdefault(route.path, {})[route.method.lower()] = described
    components = {
        "schemas": {**view.schemas, **ERROR_SCHEMAS},
        "responses": error_responses(),
        "parameters": {"RequestId": REQUEST_ID},
        "headers": HEADERS,
        **({"securitySchemes": SECURITY_SCHEMES} if known else {}),
    }
    info = {"title": "Lockstep", "version": __version__, "description": ABOUT}
    return {"openapi": "3.1.0", "info": info, "paths": paths, "components": components}


def _operation(operation: Operation, route: Route, view: View, *, guarded: bool, known: bool) -> Schema:
    own = operation.answers(view)
    statuses = sorted({500, *operation.errors, *(GUARDED if guarded else ())})
    errors = failures([status for status in statuses if str(status) not in own], edge=route.edge)
    described: Schema = {
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": [operation.tag],
        "parameters": [
            *_path_parameters(route.path, view),
            *operation.headers,
            {"$ref": "#/components/parameters/RequestId"},
        ],
        "responses": {**own, **errors},
    }
    if operation.body is not None:
        described["requestBody"] = operation.body(view)
    if guarded and known:
        described["security"] = [{name: []} for name in SECURITY_SCHEMES]
    return described


def _path_parameters(path: str, view: View) -> list[Schema]:
    known = {"name": ("Registered model.", view.names), "version": ("Number of a loaded version.", view.versions)}
    found = []
    for name in re.findall(r"\{(\w+)\}", path):
        description, values = known[name]
        schema: Schema = {"type": "string", **({"enum": values} if values else {})}
        found.append({"name": name, "in": "path", "required": True, "description": description, "schema": schema})
    return found
