"""The bare ASGI app: uvicorn, orjson and the model, nothing else. What all others are compared with."""

import sys
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import orjson
import uvicorn

from benchmarks.serving.servers.calling import Caller

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

model = Caller()


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Answer every request with the score of its row."""
    if scope["method"] == "GET":
        await _answer(send, b"{}")
        return
    message = await receive()
    body = message["body"]
    while message.get("more_body"):
        message = await receive()
        body += message["body"]
    asked = orjson.loads(body)
    text = asked.get("text")
    row = np.array([text]) if text is not None else np.array([asked["features"]], dtype=np.float32)
    await _answer(send, orjson.dumps({"score": await model.score(row)}))


async def _answer(send: Send, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    uvicorn.run(
        app, host="127.0.0.1", port=int(sys.argv[1]), loop="uvloop", http="httptools", ws="none", lifespan="off",
        access_log=False, log_level="warning",
    )  # fmt: skip
