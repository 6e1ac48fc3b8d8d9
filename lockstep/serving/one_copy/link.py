"""The connection of a worker without models to the one that holds them: made again whenever it ends."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterable, Mapping
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from lockstep.serving.errors import NotReady
from lockstep.serving.one_copy.calling import AWAY, read_serves
from lockstep.serving.one_copy.errors import FrameInvalid
from lockstep.serving.one_copy.failures import raise_told
from lockstep.serving.one_copy.wire import Frame, FrameReader, Header, frame
from lockstep.serving.trace import Trace
from lockstep.serving.workers.board import Wanted

if TYPE_CHECKING:
    from lockstep.serving.one_copy.remote_lane import RemoteLane

RETRY_S = 0.05
# A worker that has just begun answers a moment before its connection is there.
FIRST_S = 5.0
# The inference log of the owner writes a tenth of a second after scoring; answers are written by then.
ENDED_S = 0.03

_log = logging.getLogger("lockstep.serving")


class Link(asyncio.Protocol):
    """Sends rows and gets scores; belongs to one event loop, but `hold` may be called before there is one.

    Args:
        path: Of the owner's socket.

    Attributes:
        serves: What the owner serves, as it said last.
        serves_at: When that was so: nanoseconds of the machine's monotonic clock.
        kept: Which version of each model it keeps for a rollback.
        pulsed: Set whenever it said so.
        fresh: Whether what is served here is what the owner serves, as far as is known: not while it is away.
        logs: Whether the owner keeps a log of inferences, which wants to know of each request.
        pulse_at: When the owner was heard of last, by `time.monotonic`; none: not yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.serves: Mapping[str, Wanted] = {}
        self.serves_at = 0
        self.kept: Mapping[str, int] = {}
        self.pulsed = asyncio.Event()
        self.fresh = True
        self.logs = True
        self.pulse_at: float | None = None
        self._figures: dict[tuple[str, int], tuple[float, float]] = {}
        self._numbers, self._leases = count(1), count(1)
        self._lanes: dict[int, RemoteLane] = {}
        self._waiting: dict[int, asyncio.Future[Frame]] = {}
        self._answered: list[tuple[int, Trace]] = []
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connected = asyncio.Event()
        self._ended = asyncio.Event()

    @property
    def connected(self) -> bool:
        """Whether there is a connection."""
        return self._transport is not None

    def away(self) -> bool:
        """Whether the owner does not answer, or may serve other versions than are known here."""
        return not self.fresh

    async def run(self) -> None:
        """Keep the connection for as long as the server runs."""
        self._loop = asyncio.get_running_loop()
        try:
            while True:
                self._reader, self._ended = FrameReader(), asyncio.Event()
                try:
                    await self._loop.create_unix_connection(lambda: self, str(self._path))
                except OSError:
                    self.fresh = False
                    await asyncio.sleep(RETRY_S)
                    continue
                await self._ended.wait()
        finally:
            if self._transport is not None:
                self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take hold of the versions that are known here."""
        self._transport = cast("asyncio.Transport", transport)
        self._send({"op": "hello"})
        for lane in list(self._lanes.values()):
            self._hold(lane)
        self.pulsed.clear()  # of an owner before
        self._connected.set()

    def data_received(self, data: bytes) -> None:
        """Hand answers out."""
        try:
            for header, body in self._reader.feed(data):
                self._take(header, body)
        except (FrameInvalid, KeyError, TypeError, ValueError) as error:
            _log.error("the worker that holds the models cannot be understood (%s)", type(error).__name__)
            if self._transport is not None:
                self._transport.abort()

    def connection_lost(self, _error: Exception | None) -> None:
        """Tell everybody who waits."""
        if self._transport is not None and self.fresh:
            _log.warning("the worker that holds the models is gone; requests are told to come back")
        self._transport, self.fresh = None, False
        self._connected.clear()
        self._figures.clear()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(NotReady(None, reason=AWAY))
        self._waiting.clear()
        self._ended.set()

    def hold(self, lane: "RemoteLane") -> None:
        """Let the owner keep a version until `release`; from any thread."""
        lane.lease = next(self._leases)
        self._lanes[lane.lease] = lane
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._hold, lane)

    def hold_again(self, lane: "RemoteLane") -> None:
        """Take hold of a version that the owner did not have; in the event loop."""
        self._hold(lane)

    def release(self, lane: "RemoteLane") -> None:
        """Let go of a version."""
        if self._lanes.pop(lane.lease, None) is not None:
            self._send({"op": "release", "lease": lane.lease})

    def figures(self, model: str, version: int) -> tuple[float, float]:
        """Return for how long a lane was stuck, and what one more row would have waited, at the last pulse."""
        return self._figures.get((model, version), (0.0, 0.0))

    async def require(self) -> None:
        """Wait until the first connection is there; raises `NotReady` when the owner does not answer."""
        if self._transport is None and self.fresh:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._connected.wait(), FIRST_S)
        if self._transport is None:
            raise NotReady(None, reason=AWAY)

    def ask(self, header: Mapping[str, Any], parts: Iterable[memoryview]) -> "tuple[int, asyncio.Future[Frame]]":
        """Send a question; return its number and what gets the answer."""
        number, waiting = next(self._numbers), asyncio.get_running_loop().create_future()
        content = frame({**header, "id": number}, list(parts))
        if self._transport is None:
            raise NotReady(None, reason=AWAY)
        self._waiting[number] = waiting
        self._transport.writelines(content)
        return number, waiting

    def cancel(self, number: int) -> None:
        """Tell the owner that nobody waits for an answer any more."""
        if self._waiting.pop(number, None) is not None:
            self._send({"op": "cancel", "id": number})

    def ended(self, number: int, trace: Trace) -> None:
        """Tell the owner's log, a moment later, how long writing the answer took."""
        if not self._answered:
            asyncio.get_running_loop().call_later(ENDED_S, self._tell_ended)
        self._answered.append((number, trace))

    def _tell_ended(self) -> None:
        found = [(number, trace.stages_s.get("encode")) for number, trace in self._answered]
        self._answered.clear()
        self._send({"op": "ended", "seconds": [[number, seconds] for number, seconds in found if seconds is not None]})

    def _hold(self, lane: "RemoteLane") -> None:
        if lane.lease in self._lanes:
            identity = lane.identity
            facts = {"model": identity.name, "version": identity.version, "digest": identity.digest}
            self._send({"op": "hold", "lease": lane.lease, **facts})

    def _send(self, header: Header) -> None:
        if self._transport is not None:
            self._transport.writelines(frame(header))

    def _take(self, header: Header, body: bytes) -> None:
        if header.get("op") == "pulse":
            self.serves, self.serves_at = read_serves(header), int(header["at"])
            self.kept, self.logs, self.pulse_at = dict(header["kept"]), bool(header["logs"]), time.monotonic()
            self._figures = {(model, version): (stuck_s, wait_s) for model, version, stuck_s, wait_s in header["lanes"]}
            self.pulsed.set()
            return
        waiting = self._waiting.pop(header["id"], None)
        if waiting is None or waiting.done():
            return
        try:
            raise_told(header)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is for who waits
            waiting.set_exception(error)
        else:
            waiting.set_result((header, body))
