"""Connections over a transport into memory."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

from lockstep.serving.connection import Connection, ConnectionBounds

GET = b"GET /a%20b?c=d HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"

Handler = Callable[[Any, Any], Awaitable[None]]


class Pipe(asyncio.Transport):
    """A transport into memory."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.7", 4711)})
        self.sent = b""
        self.held = 0
        self.reading = True
        self.closing = False
        self.aborted = False
        self.protocol: asyncio.Protocol | None = None

    def write(self, data: Any) -> None:
        assert not self.closing
        self.sent += data

    def get_write_buffer_size(self) -> int:
        return self.held

    def is_reading(self) -> bool:
        return self.reading

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return self.closing

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        if not self.closing:
            self.closing = True
            asyncio.get_running_loop().call_soon(cast("asyncio.Protocol", self.protocol).connection_lost, None)

    def abort(self) -> None:
        self.aborted = True
        self.close()


async def echo(head: Any, asked: Any) -> None:
    """Answer with what was asked."""
    body = await asked()
    said = f"{head.method} {head.path} {head.query_string} {head.client} ".encode()
    asked.response_bytes(200, [("x", "y")], said + body)


async def pieces(_: Any, asked: Any) -> None:
    asked.response_bytes(200, [], b"".join([piece async for piece in asked]))


async def refuse(_: Any, asked: Any) -> None:
    asked.response_bytes(401, [], b"no")


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def connected(handler: Handler = echo, **bounds: Any) -> tuple[Connection, Pipe]:
    pipe = Pipe()
    connection = Connection(handler, ConnectionBounds(**bounds), on_begin=lambda _: None, on_end=lambda _: None)
    pipe.protocol = connection
    connection.connection_made(pipe)
    return connection, pipe


async def talk(*sent: bytes, handler: Handler = echo, **bounds: Any) -> Pipe:
    connection, pipe = await connected(handler, **bounds)
    for data in sent:
        connection.data_received(data)
        await settled()
    return pipe
