"""The lane in which a model runs: requests wait in the order of their deadlines and run together, as micro-batches.

Nothing waits for company. A batch is what has arrived while the one before it ran, or within one turn of the event
loop, so a lone request starts at once and batches grow with the load. A short batch runs on the event loop, since a hop
to a thread costs more than it does; a longer one runs in a thread, and beside others if they are long. A big request
runs in slices between which others get their turn. How rows are put together does not change a score, because the
Scorer's blocks see to that.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from lockstep.scoring.scorer import ScoredBatch, Scorer
from lockstep.serving.channels import channels_of
from lockstep.serving.cost import Cost
from lockstep.serving.errors import DeadlinePassed, Overloaded
from lockstep.serving.lane_limits import LaneLimits
from lockstep.serving.rows import Rows
from lockstep.serving.slowness import Slowness
from lockstep.serving.trace import NEVER
from lockstep.serving.work import Failed, Gone, Running, Scored, Share, Work, cut, drop_when, score_shares
from lockstep.serving.work_queue import WorkQueue

# How waits differ from predictions is learnt from those longer than this share of the SLO.
LEARNT_WAIT = 0.01
# Taken is what is expected within this share of the SLO: who is answered too late has cost others their answers.
SLO_SHARE = 0.85
# How the smallest of the latest requests becomes a larger one again, by each that comes.
LEARNT_ROWS = 0.05
# Rows are split among threads that are free if that makes a micro-batch shorter than this share; not if what a call
# costs does not depend on its rows.
WORTH_SPLITTING = 0.75

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
        self._channels = channels_of(scorer, cores=self.limits.cores)
        self._threads = ThreadPoolExecutor(max_workers=self._channels, thread_name_prefix="score")
        self._queue = WorkQueue()
        self._scheduled = False
        self._running: list[Running] = []  # in threads
        self._slowness = Slowness()
        self._least_rows = 1.0  # of the requests that came last

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._queue.heap)

    def stuck_s(self, now: float) -> float:
        """Return for how long a micro-batch has been running beyond its prediction, the worst; 0 when none is."""
        return max((max(now - each.until, 0.0) for each in self._running), default=0.0)

    def predicted_wait_s(self, rows: int, now: float) -> float:
        """Return when so many more rows would be scored, from now on."""
        others = self._others_s(rows, ahead_rows=self._queue.rows, ahead_s=self._left_s(now))
        return self._own_s(rows) + others * self._slowness.factor

    def _left_s(self, now: float) -> float:
        """Return what is left of the micro-batches that run, all together."""
        return sum([max(each.until - now, 0.0) for each in self._running]) if self._running else 0.0

    def _others_s(self, rows: int, *, ahead_rows: int, ahead_s: float) -> float:
        """Return what the model needs for those ahead of so many rows, as far as is known by now."""
        total, cost = ahead_rows + rows, self.cost
        whole = ahead_s + cost.seconds_per_row * total + cost.seconds_per_batch * -(-total // self._most_rows())
        return max(whole - cost.predict(rows), 0.0) / self._width(total)

    def _own_s(self, rows: int) -> float:
        """Return how long the rows of one request take; several slices of it may run at a time."""
        own, width = self.cost.predict(rows), self._width(rows)
        return own if width == 1 else own / min(width, max(-(-rows // self._most_rows()), 1))

    def _width(self, rows: int) -> int:
        """Return how many micro-batches of so many rows run at a time."""
        if self._channels == 1 or self.cost.predict(rows) <= self.limits.beside_s:
            return 1  # told at once of what is short as a whole
        return self._channels if self.cost.predict(min(rows, self._most_rows())) > self.limits.beside_s else 1

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
        own, nbytes = self._own_s(rows.num_rows), rows.nbytes
        wait = self._admit(rows.num_rows, nbytes, own=own, now=now, expires=expires)
        if wait > expires - now:
            raise DeadlinePassed(predicted=True)
        work = Work(rows, loop.create_future(), now + self.limits.slo_s + own, expires, now, label, nbytes)
        if alone and own <= self.limits.inline_s and self._is_free(rows.num_rows, nbytes):
            work.started = now
            self._finish(loop, *score_shares(self._scorer, [Share(work, 0, rows.num_rows)]))
            return work.answered.result(), work
        work.ahead_rows, work.ahead_s = self._queue.rows, self._left_s(now)
        self._queue.push(work)
        self._schedule(loop)
        waits = self._running or own > self.limits.inline_s
        watch = loop.create_task(drop_when(gone, work)) if gone is not None and waits else None
        try:
            return await work.answered, work
        finally:
            if watch is not None:
                watch.cancel()

    def _is_free(self, rows: int, nbytes: int) -> bool:
        """Return whether so many rows can be scored at once, in one micro-batch."""
        idle = not self._queue.heap and not self._running and self.cost.batches
        return bool(idle) and 0 < rows <= self._most_rows() and nbytes <= self.limits.batch_bytes

    def require_room(self) -> None:
        """Check, before a request is decoded, that one like the smallest of those that came last would have a chance.

        Raises:
            Overloaded: It would be refused once it is decoded.
        """
        if self._queue.heap:
            now, rows = time.monotonic(), int(self._least_rows)
            own = self._own_s(rows)
            wait = self.predicted_wait_s(rows, now) - own
            if wait > self._longest_wait_s(own):
                raise Overloaded(f"an answer would take about {wait:.2g} s", retry_after_s=wait)

    def wait_s(self, now: float) -> float:
        """Return how long one more row would wait for its turn; 0 when nothing does."""
        return self.predicted_wait_s(1, now) - self._own_s(1) if self._queue.heap else 0.0

    def _longest_wait_s(self, own: float) -> float:
        """Return for how long a request may wait; one that is long itself for half the time, or none would be taken."""
        return max(SLO_SHARE * self.limits.slo_s - own, self.limits.slo_s / 2)

    def _admit(self, rows: int, nbytes: int, *, own: float, now: float, expires: float) -> float:
        limits, queue = self.limits, self._queue
        more = rows - self._least_rows
        self._least_rows += min(more, LEARNT_ROWS * more)
        if len(queue.heap) >= limits.waiting_requests:
            raise Overloaded(f"{len(queue.heap)} requests wait already", retry_after_s=self.predicted_wait_s(0, now))
        if queue.bytes and queue.bytes + nbytes > limits.waiting_bytes:
            raise Overloaded(f"{queue.bytes} bytes wait already", retry_after_s=self.predicted_wait_s(0, now))
        wait = self.predicted_wait_s(rows, now)
        if queue.heap and wait - own > min(self._longest_wait_s(own), expires - now):
            raise Overloaded(f"an answer would take about {wait:.2g} s", retry_after_s=wait - own)
        return wait

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._queue.heap and not self._scheduled and self._has_channel():
            self._scheduled = True
            loop.call_soon(self._next, loop)

    def _has_channel(self) -> bool:
        """Return whether a micro-batch may start: nothing runs, or only long ones do and there is a thread left."""
        running = self._running
        if not running:
            return True
        return len(running) < self._channels and all(each.until - each.since > self.limits.beside_s for each in running)

    def _most_rows(self) -> int:
        """Return the rows of the largest micro-batch that does not keep others waiting for too long."""
        limits, block = self.limits, self._scorer.block_rows
        if not self.cost.batches:
            return block
        within = self.cost.rows_within(limits.slice_s, most=limits.batch_rows)
        return max(within, min(block, limits.batch_rows))

    def _rows_now(self) -> int:
        """Return the rows of the next micro-batch: no more than its share, where several threads are free."""
        most, idle = self._most_rows(), self._channels - len(self._running)
        if idle > 1 and self._queue.rows > 1:
            part, together = -(-self._queue.rows // idle), min(self._queue.rows, most)
            part_s, together_s = self.cost.predict(part), self.cost.predict(together)
            if part < most and self.limits.beside_s < part_s < WORTH_SPLITTING * together_s:
                return part
        return most

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start micro-batches, while there is work and one may start."""
        self._scheduled = False
        while self._queue.heap and self._has_channel():
            now = time.monotonic()
            shares = self._queue.take(self._rows_now(), self.limits.batch_bytes, now=now)
            if not shares:
                return
            predicted = self.cost.predict(sum([share.count for share in shares]))
            if self.cost.batches and predicted <= self.limits.inline_s:
                self._finish(loop, *score_shares(self._scorer, shares))
                return  # others get their turn of the event loop before the next one
            self._start(loop, shares, Running(now, now + predicted))

    def _start(self, loop: asyncio.AbstractEventLoop, shares: Sequence[Share], running: Running) -> None:
        """Run a micro-batch in a thread."""
        self._running.append(running)
        self._threads.submit(score_shares, self._scorer, shares).add_done_callback(
            lambda ended: loop.call_soon_threadsafe(lambda: self._finish(loop, *ended.result(), ended=running))
        )

    def _finish(
        self,
        loop: asyncio.AbstractEventLoop,
        done: Sequence[Scored],
        failed: Sequence[Failed],
        *,
        ended: Running | None = None,
    ) -> None:
        """Give everybody their scores, and start the next micro-batch."""
        if ended is not None:
            self._running.remove(ended)
        for failure in failed:
            if not failure.work.answered.done():
                failure.work.answered.set_exception(failure.error)
        for scored in done:
            self.cost.learn(scored.rows.num_rows, scored.seconds)
        if ended is not None and self._queue.heap:
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
            work.parts.append((share.start, cut(scored.scores, start, share.count)))
            work.done += share.count
            work.compute_s += scored.seconds
            start += share.count
            if work.answered.done():
                continue
            if work.done >= work.rows.num_rows:
                if work.ahead_rows or work.ahead_s:
                    self._learn_slowness(work)
                work.answered.set_result(work.joined())

    def _learn_slowness(self, work: Work) -> None:
        """Compare a wait with what those ahead needed: by what is known now, or a wrong guess would count twice."""
        expected_s = self._others_s(work.rows.num_rows, ahead_rows=work.ahead_rows, ahead_s=work.ahead_s)
        if expected_s > LEARNT_WAIT * self.limits.slo_s:
            # A wait beyond its own time, by which it is due later than the SLO.
            self._slowness.learn(time.monotonic() - work.due + self.limits.slo_s, expected_s)

    def close(self) -> None:
        """Let the running micro-batches finish and end the threads."""
        self._threads.shutdown(wait=True, cancel_futures=True)
