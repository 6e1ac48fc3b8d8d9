"""The application: one data plane, two edges, metrics."""

import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException

from lockstep import __version__
from lockstep.serving import invocations, open_inference
from lockstep.serving.data_plane import DataPlane
from lockstep.serving.http import JSON
from lockstep.serving.observer import App, Observer, edge_of


def build_app(plane: DataPlane) -> App:
    """Build the ASGI application of an endpoint.

    Args:
        plane: Closed when the application stops.
    """

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        plane.close()

    # No documentation pages: they load scripts from elsewhere. /openapi.json stays.
    app = FastAPI(
        title="Lockstep", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None, redirect_slashes=False
    )
    app.include_router(invocations.invocations_router(plane))
    app.include_router(open_inference.open_inference_router(plane))

    @app.get("/metrics", tags=["Operations"], summary="Prometheus metrics")
    async def metrics() -> Response:
        return Response(plane.metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app.add_exception_handler(HTTPException, _no_such_route)
    return Observer(app, metrics=plane.metrics)


async def _no_such_route(request: Request, error: Exception) -> Response:
    """Answer an unknown path or method in the form of the edge that the path belongs to."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    message = f"no such endpoint: {request.method} on this path is not served"
    edge = open_inference if edge_of(request.url.path) == "open_inference" else invocations
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    return Response(edge.describe_error(status, message), status, headers, JSON)
