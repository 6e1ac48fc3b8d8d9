"""The one lane in which a model runs: requests wait in the order of their deadlines and run together, as micro-batches.

Nothing waits for company. A batch is what has arrived while the one before it ran, or within one turn of the event
loop, so a lone request starts at once and batches grow with the load. A short batch runs on the event loop, since a hop
to a thread costs more than it does; a longer one runs in a thread. A big request runs in slices between which others
get their turn. How rows are put together does not change a score, because the Scorer's blocks see to that.
"""

import asyncio
import heapq
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count

from lockstep.scoring.scorer import ScoredBatch, Scorer
from lockstep.serving.cost import Cost
from lockstep.serving.errors import ClientGone, DeadlinePassed, Overloaded
from lockstep.serving.lane_limits import LaneLimits
from lockstep.serving.rows import Rows
from lockstep.serving.trace import NEVER
from lockstep.serving.work import Failed, Scored, Share, Work, cut, score_shares

# How waits differ from predictions is learnt from those longer than this share of the SLO, the last twenty or so.
# Even if all seem to take the most, some that long are taken, and it is found out when they no longer do.
LEARNT_WAIT, LEARNT_SHARE, MOST_SLOWNESS = 0.01, 0.05, 10.0
# A wait is taken for as long as its mean and so many mean deviations.
DEVIATIONS = 3.0

Gone = Callable[[], Awaitable[None]]

_log = logging.getLogger("lockstep.serving")


class ScoringLane:
    """Takes turns at one Scorer; belongs to one event loop.

    Attributes:
        cost: What its micro-batches take.
        limits: As given.
        on_rows: Told how many rows each micro-batch had.
    """

    def __init__(
        self,
        scorer: Scorer,
        limits: LaneLimits | None = None,
        *,
        cost: Cost | None = None,
        on_scored: Callable[[Scored], None] | None = None,
    ) -> None:
        self.cost = cost or Cost()
        self.limits = limits or LaneLimits()
        self._scorer = scorer
        self._on_scored = on_scored
        self.on_rows: Callable[[int], None] | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="score")
        self._queue: list[tuple[float, int, Work]] = []
        self._number = count()
        self._rows = 0
        self._bytes = 0
        self._scheduled = False
        self._running_since: float | None = None
        self._running_until = 0.0
        # How many times longer a wait is than the model needs for those ahead, since there is other work too.
        self._slowness, self._deviation = 1.0, 0.0
        self._least_rows = 1.0  # of the requests that came last

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._queue)

    def stuck_s(self, now: float) -> float:
        """Return for how long the running micro-batch has been running beyond its prediction; 0 when none is."""
        return max(now - self._running_until, 0.0) if self._running_since is not None else 0.0

    def predicted_wait_s(self, rows: int, now: float) -> float:
        """Return when so many more rows would be scored, from now on."""
        ahead = max(self._running_until - now, 0.0) if self._running_since is not None else 0.0
        total, cost = self._rows + rows, self.cost
        batches = -(-total // max(self._most_rows(), 1))
        whole = ahead + cost.seconds_per_row * total + cost.seconds_per_batch * batches
        own = cost.predict(rows)
        return own + max(whole - own, 0.0) * (self._slowness + DEVIATIONS * self._deviation)

    async def score(
        self,
        rows: Rows,
        *,
        expires: float = NEVER,
        label: object = None,
        gone: Gone | None = None,
        alone: bool = False,
    ) -> tuple[ScoredBatch, Work]:
        """Score the rows of one request, together with those of others.

        Args:
            rows: Checked rows; the result does not depend on how they are put together or sliced.
            expires: When nobody waits for the answer any more, by `time.monotonic`.
            label: Handed on to `on_scored`.
            gone: Returns when the client went away; then its rows are not scored.
            alone: Whether no other request is in progress, so that nobody could join this one.

        Returns:
            The scores, and when what happened.

        Raises:
            Overloaded: Too much waits already, or the answer would be too late.
            DeadlinePassed: Nobody waited for the answer any more when its turn came.
            ClientGone: The client went away before.
        """
        loop, now = asyncio.get_running_loop(), time.monotonic()
        own, nbytes = self.cost.predict(rows.num_rows), rows.nbytes
        wait = self._admit(rows.num_rows, nbytes, own=own, now=now, expires=expires)
        if wait > expires - now:
            raise DeadlinePassed(predicted=True)
        work = Work(rows, loop.create_future(), now + self.limits.slo_s + own, expires, now, label, nbytes)
        if alone and own <= self.limits.inline_s and self._is_free(rows.num_rows, nbytes):
            work.started = now
            self._finish(loop, *score_shares(self._scorer, [Share(work, 0, rows.num_rows)]))
            return work.answered.result(), work
        work.expected_s = (wait - own) / (self._slowness + DEVIATIONS * self._deviation)
        self._push(work)
        self._schedule(loop)
        waits = self._running_since is not None or own > self.limits.inline_s
        watch = loop.create_task(_drop(work, gone)) if gone is not None and waits else None
        try:
            return await work.answered, work
        finally:
            if watch is not None:
                watch.cancel()

    def _is_free(self, rows: int, nbytes: int) -> bool:
        """Return whether so many rows can be scored at once, in one micro-batch."""
        idle = not self._queue and self._running_since is None and self.cost.batches
        return bool(idle) and 0 < rows <= self._most_rows() and nbytes <= self.limits.batch_bytes

    def require_room(self) -> None:
        """Check, before a request is decoded, that one like the smallest of those that came last would have a chance.

        Raises:
            Overloaded: It would be refused once it is decoded.
        """
        if self._queue:
            now, rows = time.monotonic(), int(self._least_rows)
            own = self.cost.predict(rows)
            wait = self.predicted_wait_s(rows, now) - own
            if wait > self._longest_wait_s(own):
                raise Overloaded(f"an answer would take about {wait:.2g} s", retry_after_s=wait)

    def wait_s(self, now: float) -> float:
        """Return how long one more row would wait for its turn; 0 when nothing does."""
        return self.predicted_wait_s(1, now) - self.cost.predict(1) if self._queue else 0.0

    def _longest_wait_s(self, own: float) -> float:
        """Return for how long a request may wait; one that is long itself for half the time, or none would be taken."""
        return max(self.limits.slo_s - own, self.limits.slo_s / 2)

    def _admit(self, rows: int, nbytes: int, *, own: float, now: float, expires: float) -> float:
        limits = self.limits
        more = rows - self._least_rows
        self._least_rows += min(more, LEARNT_SHARE * more)
        if len(self._queue) >= limits.waiting_requests:
            raise Overloaded(f"{len(self._queue)} requests wait already", retry_after_s=self.predicted_wait_s(0, now))
        if self._queue and self._bytes + nbytes > limits.waiting_bytes:
            raise Overloaded(f"{self._bytes} bytes wait already", retry_after_s=self.predicted_wait_s(0, now))
        wait = self.predicted_wait_s(rows, now)
        if self._queue and wait - own > min(self._longest_wait_s(own), expires - now):
            raise Overloaded(f"an answer would take about {wait:.2g} s", retry_after_s=wait - own)
        return wait

    def _push(self, work: Work) -> None:
        heapq.heappush(self._queue, (work.due, next(self._number), work))
        self._rows += work.rows.num_rows - work.done
        self._bytes += work.nbytes

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._queue and self._running_since is None and not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._next, loop)

    def _most_rows(self) -> int:
        """Return the rows of the largest micro-batch that does not keep others waiting for too long."""
        limits, block = self.limits, self._scorer.block_rows
        if not self.cost.batches:
            return block
        within = self.cost.rows_within(limits.slice_s, most=limits.batch_rows)
        return max(within, min(block, limits.batch_rows))

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the next micro-batch, if there is work."""
        self._scheduled = False
        now = time.monotonic()
        shares = self._take(now)
        if not shares:
            self._schedule(loop)
            return
        predicted = self.cost.predict(sum(share.count for share in shares))
        self._running_since, self._running_until = now, now + predicted
        if self.cost.batches and predicted <= self.limits.inline_s:
            self._finish(loop, *score_shares(self._scorer, shares))
            return
        running = self._thread.submit(score_shares, self._scorer, shares)
        running.add_done_callback(
            lambda ended: loop.call_soon_threadsafe(lambda: self._finish(loop, *ended.result(), apart=True))
        )

    def _take(self, now: float) -> list[Share]:
        """Take the rows of the next micro-batch off the queue; forget work that nobody waits for."""
        shares: list[Share] = []
        rows_left, bytes_left = self._most_rows(), self.limits.batch_bytes
        while self._queue and rows_left > 0 and bytes_left > 0:
            work = heapq.heappop(self._queue)[2]
            left = work.rows.num_rows - work.done
            self._rows -= left
            self._bytes -= work.nbytes
            if work.answered.done():
                continue
            if now > work.expires:
                work.answered.set_exception(DeadlinePassed(predicted=False))
                continue
            row_bytes = max(work.nbytes // max(work.rows.num_rows, 1), 1)
            taken = min(left, rows_left, max(bytes_left // row_bytes, 1 if not shares else 0))
            if left and not taken:
                self._push(work)
                break
            work.started = work.started or now
            shares.append(Share(work, work.done, taken))
            rows_left, bytes_left = rows_left - taken, bytes_left - taken * row_bytes
        return shares

    def _learn_slowness(self, waited_s: float, expected_s: float) -> None:
        """Compare a wait, until the answer, with what the model was to need for those ahead."""
        off = min(max(waited_s / expected_s, 1.0), MOST_SLOWNESS) - self._slowness
        self._slowness += LEARNT_SHARE * off
        self._deviation += LEARNT_SHARE * (abs(off) - self._deviation)

    def _finish(
        self, loop: asyncio.AbstractEventLoop, done: Sequence[Scored], failed: Sequence[Failed], *, apart: bool = False
    ) -> None:
        """Give everybody their scores, and start the next micro-batch."""
        self._running_since = None
        for failure in failed:
            if not failure.work.answered.done():
                failure.work.answered.set_exception(failure.error)
        for scored in done:
            self.cost.learn(scored.rows.num_rows, scored.seconds)
        if apart and self._rows:
            self._next(loop)  # first of all: handing out takes a while, and so does the next turn of the event loop
        for scored in done:
            if self.on_rows is not None:
                self.on_rows(scored.rows.num_rows)
            self._hand_out(scored)
        self._schedule(loop)
        if self._on_scored is not None:
            for scored in done:
                loop.call_soon(self._tell, scored)  # whoever waits for an answer first

    def _tell(self, scored: Scored) -> None:
        try:
            if self._on_scored is not None:
                self._on_scored(scored)
        except Exception:  # noqa: BLE001 - a log that fails must not keep anybody from an answer
            _log.exception("what listens to micro-batches failed")

    def _hand_out(self, scored: Scored) -> None:
        start = 0
        for share in scored.shares:
            work = share.work
            work.parts.append(cut(scored.scores, start, share.count))
            work.done += share.count
            work.compute_s += scored.seconds
            start += share.count
            if work.answered.done():
                continue
            if work.done >= work.rows.num_rows:
                # A wait beyond its own time, by which it is due later than the SLO.
                if work.expected_s > LEARNT_WAIT * self.limits.slo_s:
                    self._learn_slowness(time.monotonic() - work.due + self.limits.slo_s, work.expected_s)
                work.answered.set_result(ScoredBatch.join(work.parts))
            else:
                self._push(work)

    def close(self) -> None:
        """Let the running micro-batch finish and end the thread."""
        self._thread.shutdown(wait=True, cancel_futures=True)


async def _drop(work: Work, gone: Gone) -> None:
    """Forget work once its client went away."""
    await gone()
    if not work.answered.done():
        work.answered.set_exception(ClientGone())
