"""The edge of MLflow's scoring protocol: /invocations, /ping, /health, /version.

Bodies, statuses and media types are those of `mlflow models serve`, except that an error never carries a stack trace
or the data, and that an unsupported media type is answered in the same JSON form as every other error.
"""

from collections.abc import Callable
from functools import partial
from importlib.metadata import version

import orjson

from lockstep.scoring.backends import Arrays
from lockstep.scoring.signature import Signature
from lockstep.serving.answering import ask
from lockstep.serving.data_plane import Content, DataPlane, Question
from lockstep.serving.exchange import CSV, JSON, PARQUET, Accepted, Exchange, Reply
from lockstep.serving.formats import decode_csv, decode_json
from lockstep.serving.parquet_body import decode_parquet
from lockstep.serving.router import Route
from lockstep.serving.rows import Rows
from lockstep.serving.versions import LoadedVersion

EDGE = "invocations"
# HTTP status to MLflow's error code.
ERROR_CODES = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "ENDPOINT_NOT_FOUND",
    429: "REQUEST_LIMIT_EXCEEDED",
    500: "INTERNAL_ERROR",
    503: "TEMPORARILY_UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def describe_error(status: int, message: str) -> bytes:
    """Write an error as MLflow does."""
    return orjson.dumps({"error_code": ERROR_CODES.get(status, "BAD_REQUEST"), "message": message})


def encode_predictions(signature: Signature, outputs: Arrays) -> Content:
    """Write scores as MLflow writes a DataFrame: one record per row."""
    names = [output.name for output in signature.outputs]
    if len(names) == 1:
        name = names[0]
        records = [{name: value} for value in outputs[0].tolist()]
    else:
        columns = [array.tolist() for array in outputs]
        records = [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
    return Content(orjson.dumps({"predictions": records}), JSON)


def invocations_routes(plane: DataPlane) -> list[Route]:
    """Return the routes of MLflow's scoring protocol."""
    readers = {CSV: partial(_decode, decode_csv), PARQUET: partial(_decode, decode_parquet)}
    bodies = Accepted({JSON: _decode_json, **readers})
    mlflow_version = version("mlflow").encode()

    async def invocations(exchange: Exchange) -> Reply:
        decode = bodies.reader(exchange.header("content-type"))
        return await ask(plane, exchange, decode, name=exchange.params.get("name"), version=None)

    async def ping(_: Exchange) -> Reply:
        return Reply(200 if plane.ready else 404, b"\n")

    async def get_version(_: Exchange) -> Reply:
        return Reply(200, mlflow_version)

    return [
        Route("POST", "/invocations", invocations, EDGE, "infer"),
        Route("POST", "/endpoints/{name}/invocations", invocations, EDGE, "infer"),
        Route("GET", "/ping", ping, EDGE),
        Route("GET", "/health", ping, EDGE),
        Route("GET", "/version", get_version, EDGE, "read"),
    ]


def _decode_json(body: bytes, target: LoadedVersion) -> Question:
    rows = decode_json(body, target.signature, parameters=target.parameters)
    return Question(rows, partial(encode_predictions, target.signature))


def _decode(read: Callable[[bytes, Signature], Rows], body: bytes, target: LoadedVersion) -> Question:
    return Question(read(body, target.signature), partial(encode_predictions, target.signature))
