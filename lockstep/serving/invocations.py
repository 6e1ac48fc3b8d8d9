"""The edge of MLflow's scoring protocol: /invocations, /ping, /health, /version.

Bodies, statuses and media types are those of `mlflow models serve`, except that an error never carries a stack trace
or the data, and that an unsupported media type is answered in the same JSON form as every other error.
"""

from functools import partial
from importlib.metadata import version

import orjson
from fastapi import APIRouter, Request, Response

from lockstep.scoring.backends import Floats
from lockstep.serving.data_plane import DataPlane, Question
from lockstep.serving.formats import decode_csv, decode_json
from lockstep.serving.http import CSV, JSON, ask, media_type, respond

# HTTP status to MLflow's error code.
ERROR_CODES = {404: "ENDPOINT_NOT_FOUND", 500: "INTERNAL_ERROR", 503: "TEMPORARILY_UNAVAILABLE"}


def describe_error(status: int, message: str) -> bytes:
    """Write an error as MLflow does."""
    return orjson.dumps({"error_code": ERROR_CODES.get(status, "BAD_REQUEST"), "message": message})


def encode_predictions(output: str, values: Floats) -> bytes:
    """Write scores as MLflow writes a DataFrame: one record per row."""
    return orjson.dumps({"predictions": [{output: value} for value in values.tolist()]})


def invocations_router(plane: DataPlane) -> APIRouter:
    """Return the routes of MLflow's scoring protocol."""
    router = APIRouter(tags=["MLflow scoring protocol"])
    scorer = plane.model.scorer
    encode = partial(encode_predictions, scorer.output)
    decoders = {
        JSON: lambda body: Question(decode_json(body, scorer.signature), encode),
        CSV: lambda body: Question(decode_csv(body, scorer.signature), encode),
    }

    @router.post("/invocations", summary="Score rows")
    async def invocations(request: Request) -> Response:
        async def work() -> Response:
            return await ask(plane, request, media_type(request.headers.get("content-type"), decoders))

        return await respond(request, work(), describe=describe_error)

    @router.get("/ping", summary="Healthy?")
    @router.get("/health", summary="Healthy?")
    async def ping() -> Response:
        return Response("\n", 200 if plane.ready else 404, media_type=JSON)

    @router.get("/version", summary="Version of MLflow")
    async def mlflow_version() -> Response:
        return Response(version("mlflow"), media_type=JSON)

    return router
