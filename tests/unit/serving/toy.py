"""A toy model over every column type, and a way to call an application without a socket."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from lockstep.run.plan import Column, ModelIdentity
from lockstep.scoring.backends import Arrays, Encoded, Group
from lockstep.scoring.signature import Signature
from lockstep.serving.access_log import AccessLog
from lockstep.serving.app import Application, operations_routes
from lockstep.serving.data_plane import DataPlane
from lockstep.serving.formats import decode_csv, decode_json
from lockstep.serving.infer_json import decode_infer
from lockstep.serving.invocations import invocations_routes
from lockstep.serving.open_inference import open_inference_routes
from lockstep.serving.openapi.document import ROLES
from lockstep.serving.openapi.edge import openapi_routes
from lockstep.serving.router import Route
from lockstep.serving.rows import to_batch
from lockstep.serving.security.assembly import Security

INPUTS = (
    Column(name="carrier", dtype="string"),
    Column(name="distance", dtype="double"),
    Column(name="rate", dtype="float"),
    Column(name="seats", dtype="integer"),
    Column(name="flight", dtype="long"),
    Column(name="wet", dtype="boolean"),
    Column(name="at", dtype="datetime"),
    Column(name="note", dtype="string", required=False),
)
OUTPUTS = (Column(name="probability", dtype="double"),)
SIGNATURE = Signature(INPUTS, OUTPUTS)
IDENTITY = ModelIdentity(
    name="toy", version=3, alias="champion", digest="d" * 64, location="/nowhere", inputs=INPUTS, outputs=OUTPUTS
)
BLOCK_ROWS = 8
ROW: dict[str, Any] = {
    "carrier": "UA",
    "distance": 1400.25,
    "rate": 0.5,
    "seats": 149,
    "flight": 1545,
    "wet": True,
    "at": "2013-08-01T05:15:00",
    "note": None,
}
PI = 3.14159


class ToyBackend:
    """A made-up score of every column. Carrier XX makes the model raise, carrier YY scores NaN."""

    device = "cpu"

    def encode(self, batch: pa.RecordBatch) -> Encoded:
        names = np.array(batch.column("carrier").to_pylist(), dtype=object)
        notes = batch.column("note").to_pylist()
        texts = [sum(map(ord, (a or "") + (b or ""))) for a, b in zip(names, notes, strict=True)]
        numbers = [np.array(texts, dtype=np.float64)]
        for name in ("distance", "rate", "seats", "flight", "wet"):
            values = batch.column(name).to_pylist()
            numbers.append(np.array([0.1 if v is None else float(v) for v in values]))
        moments = batch.column("at").cast(pa.int64()).to_pylist()
        numbers.append(np.array([0.2 if v is None else v / 1e15 for v in moments]))
        return Encoded((Group((names, np.column_stack(numbers))),))

    def run(self, arrays: Arrays) -> Arrays:
        names, numbers = arrays
        assert len(names) == BLOCK_ROWS
        if "XX" in names:
            raise RuntimeError("secret 4711")
        out = np.sin(numbers.astype(np.float64) @ np.arange(1, numbers.shape[1] + 1) / PI)
        return (np.where(names == "YY", np.nan, out),)


def json_batch(body: bytes, signature: Signature = SIGNATURE) -> pa.RecordBatch:
    """What a body of MLflow's protocol comes to."""
    return to_batch([decode_json(body, signature)], signature)


def csv_batch(body: bytes, signature: Signature = SIGNATURE) -> pa.RecordBatch:
    """What CSV comes to."""
    return to_batch([decode_csv(body, signature)], signature)


def infer_batch(body: bytes, signature: Signature = SIGNATURE) -> pa.RecordBatch:
    """What an inference request comes to."""
    return to_batch([decode_infer(body, signature).rows], signature)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def call(
    app: Any,
    path: str,
    body: bytes | list[bytes] | None = None,
    *,
    headers: dict[str, str] | None = None,
    method: str | None = None,
) -> Answer:
    """Send one request through an application; a list of bodies is sent in pieces."""
    return asyncio.run(acall(app, path, body, headers=headers, method=method))


async def acall(
    app: Any,
    path: str,
    body: bytes | list[bytes] | None = None,
    *,
    headers: dict[str, str] | None = None,
    method: str | None = None,
) -> Answer:
    protocol = Wire(body if isinstance(body, list) else [body or b""])
    given = Headers({name.lower(): value for name, value in (headers or {}).items()})
    if not isinstance(body, list):
        given.setdefault("content-length", str(len(body or b"")))
    path, _, query = path.partition("?")
    await app(Head(method or ("GET" if body is None else "POST"), path, query, given), protocol)
    assert protocol.answer is not None
    return protocol.answer


def app_of(
    plane: DataPlane, *more: Route, log: AccessLog | None = None, security: Security | None = None
) -> Application:
    """The protocols over a data plane, without a registry behind it."""
    routes = [*invocations_routes(plane), *open_inference_routes(plane), *operations_routes(plane), *more]
    routes += openapi_routes(plane, routes, open_roles=security.open_roles if security is not None else ROLES)
    return Application(plane, routes, log=log or AccessLog(), security=security)


class Headers(dict[str, str]):
    """Headers by their names in lower case; several of one name are one text with lines."""

    def get_all(self, name: str) -> list[str]:
        return self[name].split("\n") if name in self else []


@dataclass
class Head:
    """The head of a request, as the server hands it over."""

    method: str
    path: str
    query_string: str
    headers: Headers
    client: str = "127.0.0.1:1"
    certificate: bytes | None = None


class Wire:
    """The rest of a request, and what was answered. The client stays until it has its answer."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces
        self.answer: Answer | None = None

    async def __call__(self) -> bytes:
        return b"".join(self.pieces)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece

    def arrived(self) -> bytes | None:
        return None

    async def client_disconnect(self) -> None:
        await asyncio.Event().wait()

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        assert self.answer is None
        self.answer = Answer(status, {name.lower(): value for name, value in headers}, body)
