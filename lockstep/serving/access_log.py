"""One line of JSON per request, without data; written in bundles, so that a line costs little.

A line is put into words at once, after its answer is sent: done for many in a thread, it would keep the interpreter's
lock from the requests of that moment for milliseconds.
"""

import asyncio
import sys
from dataclasses import dataclass
from typing import TextIO

import orjson

from lockstep.serving.trace import Trace

EVERY_S = 0.2
# Lines that may wait; more are dropped and counted, since a log must not keep a request waiting.
WAITING = 20_000
SHOWN_PATH = 200


@dataclass(frozen=True, slots=True)
class Line:
    """One answered request.

    Attributes:
        ended: Seconds since 1970.
        method, path, status: Of the request and its reply.
        trace: What happened to it.
        seconds: That it took.
    """

    ended: float
    method: str
    path: str
    status: int
    trace: Trace
    seconds: float


class AccessLog:
    """The log of requests.

    Attributes:
        dropped: Lines that were not written, because too many waited.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._lines: list[bytes] = []
        self._writer: asyncio.Task[None] | None = None
        self.dropped = 0

    def add(self, line: Line) -> None:
        """Note one request; it is written within a fraction of a second."""
        if len(self._lines) >= WAITING:
            self.dropped += 1
            return
        self._lines.append(_json(line))

    def start(self) -> None:
        """Write now and then from now on, in the running event loop."""
        self._writer = asyncio.get_running_loop().create_task(self._write_always())

    async def _write_always(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(EVERY_S)
            if self._lines:
                await loop.run_in_executor(None, self.flush)

    def flush(self) -> None:
        """Write what waits."""
        lines, self._lines = self._lines, []
        stream = self._stream if self._stream is not None else sys.stderr
        try:
            stream.write(b"".join(lines).decode())
            stream.flush()
        except (OSError, ValueError):
            self.dropped += len(lines)  # the other end is closed, or the disk is full: the endpoint goes on

    def close(self) -> None:
        """Write the last lines and stop."""
        if self._writer is not None:
            self._writer.cancel()
            self._writer = None
            self.flush()


def _json(line: Line) -> bytes:
    trace = line.trace
    named = (("model", trace.model), ("version", trace.version), ("arm", trace.arm), ("client", trace.client))
    found = {
        "time": line.ended,
        "event": "request",
        "method": line.method[:16],
        "path": line.path[:SHOWN_PATH],
        "status": line.status,
        "ms": round(line.seconds * 1000, 3),
        "rows": trace.rows,
        "id": trace.request_id,
        **({} if trace.span is None else {"trace_id": trace.span.trace_id, "span_id": trace.span.span_id}),
        **{name: value for name, value in named if value},
        "stages_ms": {stage: round(value * 1000, 3) for stage, value in trace.stages_s.items()},
    }
    return orjson.dumps(found, option=orjson.OPT_APPEND_NEWLINE)
