"""The edge of the Open Inference Protocol V2 over REST."""

from functools import partial

import orjson

from lockstep import __version__
from lockstep.scoring.backends import Arrays
from lockstep.serving.answering import Decode, ask
from lockstep.serving.data_plane import Content, DataPlane, Question
from lockstep.serving.exchange import JSON, OCTETS, Accepted, Exchange, Reply
from lockstep.serving.expiry import timeout_s
from lockstep.serving.infer_binary import EXTENSION, binary_outputs, decode_binary, encode_binary
from lockstep.serving.infer_binary import HEADER as BINARY_HEADER
from lockstep.serving.infer_json import InferRequest, decode_infer, encode_infer
from lockstep.serving.router import Route
from lockstep.serving.tensors import model_metadata
from lockstep.serving.versions import LoadedVersion

EDGE = "open_inference"
SERVICE_UNAVAILABLE = 503
HEADER = BINARY_HEADER.lower()
EXTENSIONS = [EXTENSION, "model_repository"]
MODEL, VERSION = "/v2/models/{name}", "/v2/models/{name}/versions/{version}"


def describe_error(_: int, message: str) -> bytes:
    """Write an error as the protocol asks."""
    return orjson.dumps({"error": message})


def _json(content: object, status: int = 200) -> Reply:
    return Reply(status, orjson.dumps(content))


def open_inference_routes(plane: DataPlane) -> list[Route]:
    """Return the routes of the protocol."""
    return [*_server_routes(plane), *_model_routes(plane)]


def _server_routes(plane: DataPlane) -> list[Route]:
    async def metadata(_: Exchange) -> Reply:
        return _json({"name": "lockstep", "version": __version__, "extensions": EXTENSIONS})

    async def live(_: Exchange) -> Reply:
        if plane.live:
            return _json({"live": True})
        return _json(
            {"error": "a model is stuck; the server must be started again", "live": False}, SERVICE_UNAVAILABLE
        )

    async def ready(_: Exchange) -> Reply:
        if plane.ready:
            return _json({"ready": True, "live": True})
        reason = "the server is stopping" if plane.draining or plane.stopping else "a model is not loaded"
        return _json({"error": reason, "ready": False, "live": True}, SERVICE_UNAVAILABLE)

    return [
        Route("GET", "/v2", metadata, EDGE, "read"),
        Route("GET", "/v2/health/live", live, EDGE),
        Route("GET", "/v2/health/ready", ready, EDGE),
    ]


def _model_routes(plane: DataPlane) -> list[Route]:
    # Triton's client says octet-stream of a request with binary outputs alone too, and nothing of a JSON one.
    bodies = Accepted({JSON: _json_question, OCTETS: _json_question}, default=JSON)

    async def metadata(exchange: Exchange) -> Reply:
        name, version = exchange.params["name"], exchange.params.get("version")
        target = plane.find(name, version)
        versions = [loaded.identity.version for loaded in plane.fleet.slot(name).versions]
        described = model_metadata(target.identity, versions)
        described["properties"] |= target.scorer.certificate.to_properties()
        return Reply(200, orjson.dumps(described), headers=target.headers)

    async def ready(exchange: Exchange) -> Reply:
        target = plane.find(exchange.params["name"], exchange.params.get("version"))
        return _json({"name": target.identity.name, "ready": True})

    async def infer(exchange: Exchange) -> Reply:
        params, length = exchange.params, exchange.header(HEADER)
        if length is not None:
            decode: Decode = partial(_binary_question, length)
        else:
            decode = bodies.reader(exchange.header("content-type"))
        return await ask(plane, exchange, decode, name=params["name"], version=params.get("version"))

    routes = []
    for path in (MODEL, VERSION):
        routes.append(Route("GET", path, metadata, EDGE, "read"))
        routes.append(Route("GET", f"{path}/ready", ready, EDGE, "read"))
        routes.append(Route("POST", f"{path}/infer", infer, EDGE, "infer"))
    return routes


def _json_question(body: bytes, target: LoadedVersion) -> Question:
    request = decode_infer(body, target.signature)
    return Question(request.rows, partial(_answer, target, request), timeout_s(request.parameters))


def _binary_question(length: str, body: bytes, target: LoadedVersion) -> Question:
    request = decode_binary(body, length, target.signature)
    return Question(request.rows, partial(_answer, target, request), timeout_s(request.parameters))


def _answer(target: LoadedVersion, request: InferRequest, outputs: Arrays) -> Content:
    if not binary_outputs(request, target.signature):
        return Content(encode_infer(target.identity, request, outputs), JSON)
    body, length = encode_binary(target.identity, request, outputs)
    return Content(body, OCTETS, ((HEADER, str(length)),))
