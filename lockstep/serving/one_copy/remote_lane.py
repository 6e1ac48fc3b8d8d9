"""The lane of a model that another worker holds, as the data plane of this one sees it."""

import asyncio
import math
import time
from collections.abc import Callable

from lockstep.run.plan import ModelIdentity
from lockstep.scoring.scorer import ScoredBatch
from lockstep.scoring.signature import Signature
from lockstep.serving.errors import ClientGone, NotReady, Overloaded
from lockstep.serving.lane_limits import LaneLimits
from lockstep.serving.one_copy.contents import read_scores, write_rows
from lockstep.serving.one_copy.errors import NotHeld, OwnerLate
from lockstep.serving.one_copy.facts import tell_trace
from lockstep.serving.one_copy.link import Link
from lockstep.serving.one_copy.wire import Frame
from lockstep.serving.rows import Rows
from lockstep.serving.trace import NEVER, Trace
from lockstep.serving.work import Gone, Work

# An owner that says nothing for so long hangs.
SILENT_S = 5.0
# After a deadline the owner has so long to say itself that it is over; then nobody waits for it.
LATE_S = 0.05


class RemoteLane:
    """Sends rows to the owner, where they wait for their turn beside those of all workers.

    Args:
        link: To the owner.
        identity: Of the version.
        signature: What the model takes.
        limits: Of the owner's lane.

    Attributes:
        identity, limits: As given.
        lease: By which the owner knows the version.
        on_rows: Not called: micro-batches are counted where they run.
    """

    def __init__(self, link: Link, identity: ModelIdentity, *, signature: Signature, limits: LaneLimits) -> None:
        self.identity = identity
        self.limits = limits
        self.lease = 0
        self.on_rows: Callable[[int], None] | None = None
        self._link = link
        self._signature = signature
        self._bytes = 0

    @property
    def waiting(self) -> int:
        """Requests in the queue of this process: none, as they wait at the owner, which counts them."""
        return 0

    def stuck_s(self, now: float) -> float:
        """Return for how long the owner's lane, or the owner itself, is stuck."""
        if self._link.away():  # one that is gone is started again
            return 0.0
        since, stuck_s = self._silent_s(now), self._link.figures(self.identity.name, self.identity.version)[0]
        if stuck_s:
            return stuck_s + since
        return since if since > SILENT_S else 0.0

    def _silent_s(self, now: float) -> float:
        """Return for how long the owner has said nothing, since it was heard of first."""
        return now - self._link.pulse_at if self._link.pulse_at is not None else 0.0

    def wait_s(self, now: float) -> float:
        """Return how long one more row would wait, as the owner said last."""
        wait_s = self._link.figures(self.identity.name, self.identity.version)[1]
        return max(wait_s - (now - (self._link.pulse_at or now)), 0.0)

    def require_room(self) -> None:
        """Check, before a request is decoded, that one more row would have a chance.

        Raises:
            Overloaded: What waited already when the owner said so last takes as long as anybody may wait.
            NotReady: The owner does not answer.
        """
        now = time.monotonic()
        if self._link.away():
            raise NotReady(self.identity.name, reason="the worker that holds it is starting")
        if self._silent_s(now) > SILENT_S:
            raise NotReady(self.identity.name, reason="the worker that holds it does not answer")
        wait = self.wait_s(now)
        if wait > self.limits.slo_s:
            raise Overloaded(f"an answer would take about {wait:.2g} s", retry_after_s=wait)

    async def score(
        self,
        rows: Rows,
        *,
        expires: float = NEVER,
        label: object = None,
        gone: Gone | None = None,
        alone: bool = False,  # noqa: ARG002 - only the owner knows
    ) -> tuple[ScoredBatch, Work]:
        """Let the owner score the rows of one request; see `ScoringLane.score`.

        Raises:
            Overloaded: Too much waits already, or the answer would be too late.
            DeadlinePassed: Nobody waited for the answer any more when its turn came, or it has not come in time.
            ClientGone: The client went away before.
            NotReady: The owner does not answer, or does not hold the version.
            PayloadTooLarge: The rows or their scores are more than goes over the link.
        """
        if self._bytes and self._bytes + rows.nbytes > self.limits.waiting_bytes:
            raise Overloaded(f"{self._bytes} bytes wait already", retry_after_s=1)
        if not self._link.connected:
            await self._link.require()
        self._bytes += rows.nbytes
        try:
            return await self._scored(rows, expires=expires, label=label, gone=gone)
        except NotHeld:
            self._link.hold_again(self)  # it may be there by now: an owner that was started again loads one by one
            try:
                return await self._scored(rows, expires=expires, label=label, gone=gone)
            except NotHeld as error:
                raise NotReady(self.identity.name, reason=f"version {self.identity.version} is not loaded") from error
        finally:
            self._bytes -= rows.nbytes

    async def _scored(
        self, rows: Rows, *, expires: float, label: object, gone: Gone | None
    ) -> tuple[ScoredBatch, Work]:
        arrived = time.monotonic()
        trace = label if self._link.logs and isinstance(label, Trace) else None
        facts, body = write_rows(rows, self._signature)
        header = {
            **facts,
            "op": "score",
            "lease": self.lease,
            "left_s": None if math.isinf(expires) else expires - arrived,
            "trace": tell_trace(trace) if trace is not None else None,
        }
        loop = asyncio.get_running_loop()
        number, waiting = self._link.ask(header, [body])
        watch = loop.create_task(_drop(waiting, gone)) if gone is not None else None
        timer = loop.call_later(expires - arrived + LATE_S, _expire, waiting) if expires < NEVER else None
        try:
            answer, content = await waiting
        finally:
            self._link.cancel(number)
            if watch is not None:
                watch.cancel()
            if timer is not None:
                timer.cancel()
        scored = read_scores(answer, content, rows=rows.num_rows)
        if trace is not None:
            self._link.ended(number, trace)
        spent_s = time.monotonic() - arrived
        # What the way there and back took counts as waiting.
        started = arrived + answer["queue_s"] + max(spent_s - answer["whole_s"], 0.0)
        work = Work(rows, loop.create_future(), arrived, expires, arrived, label, started=started, done=rows.num_rows)
        work.parts, work.compute_s = [(0, scored)] * answer["parts"], answer["compute_s"]
        return scored, work

    def close(self) -> None:
        """Let the owner know that the version is not needed here any more."""
        self._link.release(self)


async def _drop(waiting: "asyncio.Future[Frame]", gone: Gone) -> None:
    """Forget a question once its client went away."""
    await gone()
    if not waiting.done():
        waiting.set_exception(ClientGone())


def _expire(waiting: "asyncio.Future[Frame]") -> None:
    """Forget a question whose deadline is over."""
    if not waiting.done():
        waiting.set_exception(OwnerLate())
