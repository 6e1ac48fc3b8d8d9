"""The standard health service (grpc.health.v1) of the endpoint and of each of its models.

The name of a service is empty for the endpoint as a whole, that of the inference service, a model's (`churn`), or that
of one of its versions (`churn/versions/3`).
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from grpc import StatusCode
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthListRequest, HealthListResponse
from grpc_health.v1.health_pb2 import HealthCheckResponse as Response
from grpc_health.v1.health_pb2_grpc import HealthServicer

from lockstep.serving.data_plane import DataPlane
from lockstep.serving.errors import ModelUnknown, NotReady
from lockstep.serving.grpc.servicer import SERVICE

WHOLE = ""
VERSIONS = "/versions/"
# How soon a watcher learns of a change.
EVERY_S = 0.5
# Each watcher costs a look at the models at that pace.
MOST_WATCHERS = 100

SERVING = int(Response.SERVING)
NOT_SERVING = int(Response.NOT_SERVING)
UNKNOWN = int(Response.SERVICE_UNKNOWN)


def health_of(plane: DataPlane, service: str) -> int:
    """Return the status of a service by its name: SERVING, NOT_SERVING or SERVICE_UNKNOWN."""
    if service in {WHOLE, SERVICE.full_name}:
        return SERVING if plane.ready and plane.live else NOT_SERVING
    name, _, version = service.partition(VERSIONS)
    try:
        plane.find(name, version or None)
    except NotReady:
        return NOT_SERVING
    except ModelUnknown:
        return UNKNOWN
    return SERVING


class Health(HealthServicer):  # type: ignore[misc]  # generated without types
    """Answers from the state of a data plane."""

    def __init__(self, plane: DataPlane) -> None:
        self._plane = plane
        self._watchers = 0
        self._stopping = asyncio.Event()

    async def Check(self, request: HealthCheckRequest, context: Any) -> Response:  # noqa: N802
        """Return the status of one service."""
        status = health_of(self._plane, request.service)
        if status == UNKNOWN:
            await context.abort(StatusCode.NOT_FOUND, "no service or model of that name is served here")
        return Response(status=status)

    async def List(self, _: HealthListRequest, _context: Any) -> HealthListResponse:  # noqa: N802
        """Return the status of the endpoint. Models are not listed, because nobody is asked who wants to know."""
        found = {name: Response(status=health_of(self._plane, name)) for name in (WHOLE, SERVICE.full_name)}
        return HealthListResponse(statuses=found)

    async def Watch(self, request: HealthCheckRequest, context: Any) -> AsyncIterator[Response]:  # noqa: N802
        """Return the status of one service now and whenever it changes, until the server stops."""
        if self._watchers >= MOST_WATCHERS:
            await context.abort(StatusCode.RESOURCE_EXHAUSTED, f"{MOST_WATCHERS} clients watch already")
        self._watchers += 1
        told = None
        try:
            while not self._stopping.is_set():
                status = health_of(self._plane, request.service)
                if status != told:
                    told = status
                    yield Response(status=status)
                await self._wait()
            if told != NOT_SERVING:
                yield Response(status=NOT_SERVING)
        finally:
            self._watchers -= 1

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(EVERY_S):
                await self._stopping.wait()
        except TimeoutError:
            pass

    def stop(self) -> None:
        """Tell every watcher that the server stops, and let it go."""
        self._stopping.set()
