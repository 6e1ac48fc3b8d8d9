"""The edge of the Open Inference Protocol V2, REST with JSON tensors."""

from functools import partial

import orjson
from fastapi import APIRouter, Request, Response

from lockstep import __version__
from lockstep.errors import RequestInvalid
from lockstep.serving.data_plane import DataPlane, Question
from lockstep.serving.errors import ModelUnknown
from lockstep.serving.http import JSON, ask, media_type, model_headers, respond
from lockstep.serving.tensors import BINARY, decode_infer, encode_infer, model_metadata

SERVICE_UNAVAILABLE = 503
BINARY_HEADER = "inference-header-content-length"


def describe_error(_: int, message: str) -> bytes:
    """Write an error as the protocol asks."""
    return orjson.dumps({"error": message})


def open_inference_router(plane: DataPlane) -> APIRouter:
    """Return the routes of the protocol."""
    router = APIRouter(prefix="/v2", tags=["Open Inference Protocol V2"])
    _add_server_routes(router, plane)
    _add_model_routes(router, plane)
    return router


def _json(content: object, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type=JSON)


def _add_server_routes(router: APIRouter, plane: DataPlane) -> None:
    @router.get("", summary="Server metadata")
    async def server_metadata() -> Response:
        return _json({"name": "lockstep", "version": __version__, "extensions": []})

    @router.get("/health/live", summary="Alive?")
    async def live() -> Response:
        return _json({"live": True})

    @router.get("/health/ready", summary="Ready to infer?")
    async def ready() -> Response:
        if plane.ready:
            return _json({"ready": True, "live": True})
        return _json({"error": "the server is stopping", "ready": False, "live": True}, SERVICE_UNAVAILABLE)


def _add_model_routes(router: APIRouter, plane: DataPlane) -> None:
    @router.get("/models/{name}", summary="Model metadata")
    @router.get("/models/{name}/versions/{version}", summary="Model metadata")
    async def metadata(request: Request, name: str, version: str | None = None) -> Response:
        async def work() -> Response:
            _check_model(plane, name, version)
            return Response(orjson.dumps(model_metadata(plane.model.identity)), 200, model_headers(plane), JSON)

        return await respond(request, work(), describe=describe_error)

    @router.get("/models/{name}/ready", summary="Model ready?")
    @router.get("/models/{name}/versions/{version}/ready", summary="Model ready?")
    async def model_ready(request: Request, name: str, version: str | None = None) -> Response:
        async def work() -> Response:
            _check_model(plane, name, version)
            return _json({"name": name, "ready": plane.ready}, 200 if plane.ready else SERVICE_UNAVAILABLE)

        return await respond(request, work(), describe=describe_error)

    @router.post("/models/{name}/infer", summary="Score rows")
    @router.post("/models/{name}/versions/{version}/infer", summary="Score rows")
    async def infer(request: Request, name: str, version: str | None = None) -> Response:
        async def work() -> Response:
            _check_model(plane, name, version)
            if BINARY_HEADER in request.headers:
                raise RequestInvalid(BINARY)
            decode = media_type(request.headers.get("content-type"), {JSON: partial(_question, plane)}, default=JSON)
            return await ask(plane, request, decode)

        return await respond(request, work(), describe=describe_error)


def _check_model(plane: DataPlane, name: str, version: str | None) -> None:
    identity = plane.model.identity
    if name != identity.name or version not in {None, str(identity.version)}:
        raise ModelUnknown(name, version, served=f"{identity.name!r} version {identity.version}")


def _question(plane: DataPlane, body: bytes) -> Question:
    request = decode_infer(body, plane.model.scorer.signature)
    return Question(request.batch, partial(encode_infer, plane.model.identity, request))
