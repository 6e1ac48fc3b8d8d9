"""A toy model over every column type, and a way to call an ASGI application without a socket."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from lockstep.run.plan import Column, ModelIdentity
from lockstep.scoring.backends import Arrays, Encoded, Group
from lockstep.scoring.signature import Signature

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
    """Send one request through an ASGI application; a list of bodies is sent in pieces."""
    return asyncio.run(acall(app, path, body, headers=headers, method=method))


async def acall(
    app: Any,
    path: str,
    body: bytes | list[bytes] | None = None,
    *,
    headers: dict[str, str] | None = None,
    method: str | None = None,
) -> Answer:
    pieces = body if isinstance(body, list) else [body or b""]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method or ("GET" if body is None else "POST"),
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    waiting = [
        {"type": "http.request", "body": piece, "more_body": place < len(pieces) - 1}
        for place, piece in enumerate(pieces)
    ]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if waiting:
            return waiting.pop(0)
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    start = sent[0]
    found = {name.decode().lower(): value.decode() for name, value in start["headers"]}
    return Answer(start["status"], found, b"".join(m.get("body", b"") for m in sent[1:]))
