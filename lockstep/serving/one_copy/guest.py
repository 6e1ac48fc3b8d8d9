"""One connection of another worker to the process that holds the models."""

import asyncio
import logging
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from lockstep.errors import LockstepError
from lockstep.serving.data_plane import DataPlane
from lockstep.serving.one_copy.contents import read_rows, write_scores
from lockstep.serving.one_copy.errors import FrameInvalid, NotHeld
from lockstep.serving.one_copy.facts import read_trace
from lockstep.serving.one_copy.failures import tell_failure
from lockstep.serving.one_copy.wire import FrameReader, Header, frame
from lockstep.serving.trace import NEVER, Trace
from lockstep.serving.versions import LoadedVersion

# Answered requests of which the other side has not said yet how long writing the answer took.
MOST_ANSWERED = 4096

_log = logging.getLogger("lockstep.serving")

Call = Callable[[Header], Awaitable[Header]]
Held = Callable[[str, int | None, str | None], LoadedVersion | None]


class Guest(asyncio.Protocol):
    """Does what another worker asks; what it holds is kept until it lets go or is gone.

    Args:
        plane: Whose lanes score.
        held: Finds a loaded version by model, number and digest.
        calls: What else it may ask, by name.
        busy: What all of them have asked for and is not answered.
    """

    def __init__(
        self, plane: DataPlane, *, held: Held, calls: Mapping[str, Call], busy: set[asyncio.Task[None]]
    ) -> None:
        self._plane = plane
        self._held = held
        self._calls = calls
        self._busy = busy
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._leases: dict[int, LoadedVersion] = {}
        self._running: dict[int, asyncio.Task[None]] = {}
        self._answered: dict[int, Trace] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember how to answer."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Do what is asked; who sends anything else is cut off."""
        try:
            for header, body in self._reader.feed(data):
                self._take(header, body)
        except (FrameInvalid, KeyError, TypeError, ValueError) as error:
            problem = str(error) if isinstance(error, LockstepError) else type(error).__name__
            _log.error("a worker's connection is ended: %s", problem)
            self.leave()

    def pause_writing(self) -> None:
        """Take nothing more from who does not take its answers."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        if self._transport is not None:
            self._transport.resume_reading()

    def connection_lost(self, _error: Exception | None) -> None:
        """Forget its work, and let go of what it held."""
        self._transport = None
        self._plane.guests.discard(self)
        for task in self._running.values():
            task.cancel()
        for lease in list(self._leases):
            self._release(lease)

    def tell(self, header: Header, parts: list[bytes] | None = None) -> None:
        """Send a frame, unless nobody is there any more."""
        if self._transport is not None:
            self._transport.writelines(frame(header, parts or ()))

    def leave(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.abort()

    def _take(self, header: Header, body: bytes) -> None:
        op = header["op"]
        if op == "score":
            self._start(header["id"], self._score(header, body, arrived=time.monotonic()))
        elif op == "hello":
            self._plane.guests.add(self)
        elif op == "hold":
            self._hold(header)
        elif op == "cancel":
            task = self._running.get(header["id"])
            if task is not None:
                task.cancel()
        elif op == "release":
            self._release(header["lease"])
        elif op == "ended":
            self._note_encode(header["seconds"])
        else:
            self._start(header["id"], self._call(op, header))

    def _start(self, number: int, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._running[number] = task
        self._busy.add(task)

        def end(ended: asyncio.Task[None]) -> None:
            self._busy.discard(ended)
            self._running.pop(number, None)

        task.add_done_callback(end)

    def _hold(self, header: Header) -> None:
        lease = int(header["lease"])
        version = self._held(header["model"], header["version"], header["digest"])
        if version is None or version.retired or lease in self._leases:
            return  # who asks it to score is told
        self._leases[lease] = version.__enter__()

    def _release(self, lease: int) -> None:
        version = self._leases.pop(lease, None)
        if version is not None:
            version.__exit__()

    def _note_encode(self, seconds: list[tuple[int, float]]) -> None:
        """Complete what the inference log is to know; it writes a moment after the answer."""
        for number, encode_s in seconds:
            trace = self._answered.pop(number, None)
            if trace is not None:
                trace.stages_s["encode"] = float(encode_s)

    async def _call(self, op: str, header: Header) -> None:
        try:
            call = self._calls.get(op)
            if call is None:
                raise FrameInvalid("it asks for something unknown")
            answer = await call(header)
            self.tell({**answer, "id": header["id"]})
        except Exception as error:  # noqa: BLE001 - the other side waits for an answer
            self._fail(header["id"], error)

    async def _score(self, header: Header, body: bytes, *, arrived: float) -> None:
        number = header["id"]
        try:
            version = self._leases.get(header["lease"])
            if version is None:
                raise NotHeld
            label = read_trace(header["trace"]) if header.get("trace") is not None else None
            rows = read_rows(header, body, version.scorer.signature)
            left_s = header.get("left_s")
            expires = NEVER if left_s is None else arrived + left_s
            alone = len(self._busy) <= 1 and not self._plane.metrics.in_progress
            with version:
                scored, work = await version.lane.score(rows, expires=expires, label=label, alone=alone)
            queue_s = work.started - work.arrived
            if label is not None:
                label.stages_s.update(queue=queue_s, compute=work.compute_s)
                self._remember(number, label)
            outputs, parts = write_scores(scored)
            times = {"queue_s": queue_s, "compute_s": work.compute_s, "whole_s": time.monotonic() - arrived}
            self.tell({"id": number, **times, "parts": len(work.parts), **outputs}, parts)
        except Exception as error:  # noqa: BLE001 - the other side waits for an answer
            self._fail(number, error)

    def _remember(self, number: int, label: Trace) -> None:
        self._answered[number] = label
        if len(self._answered) > MOST_ANSWERED:
            self._answered.pop(next(iter(self._answered)))

    def _fail(self, number: int, error: Exception) -> None:
        if not isinstance(error, LockstepError):
            frames = "".join(traceback.format_tb(error.__traceback__))
            _log.error("a worker's request failed with %s\n%s", type(error).__name__, frames)
        self.tell({"id": number, **tell_failure(error)})
