"""The one lane in which the model runs: never two calls at a time, and no request waits for a whole big one.

A batch of at most one block runs at once, on the event loop, when the lane is free: a hop to a thread costs more
than such a row. Everything else runs in one thread, in slices that take turns with those of other requests.
"""

import asyncio
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pyarrow as pa

from lockstep.scoring.scorer import ScoredBatch, Scorer

# Blocks of one slice: the longest that another request waits for, some milliseconds of a small network.
SLICE_BLOCKS = 16


class ScoringLane:
    """Takes turns at one Scorer; to be used from one event loop."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="score")
        self._running = 0

    async def score(self, batch: pa.RecordBatch) -> ScoredBatch:
        """Score a batch; the result does not depend on how it is sliced, because the Scorer's does not."""
        if batch.num_rows <= self._scorer.block_rows and self._running == 0:
            return self._scorer.score(batch, where="the request")
        parts = [await self._in_thread(part) for part in self._slices(batch)]
        return ScoredBatch.join(parts)

    def _slices(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        rows = SLICE_BLOCKS * self._scorer.block_rows
        for start in range(0, max(batch.num_rows, 1), rows):
            yield batch.slice(start, rows)

    async def _in_thread(self, part: pa.RecordBatch) -> ScoredBatch:
        loop = asyncio.get_running_loop()
        self._running += 1
        future = self._thread.submit(self._scorer.score, part, where="the request")

        def finished(_: Future[ScoredBatch]) -> None:
            # Not when the waiting request ends: it may be cancelled while its slice still runs.
            loop.call_soon_threadsafe(self._one_less)

        future.add_done_callback(finished)
        return await asyncio.wrap_future(future)

    def _one_less(self) -> None:
        self._running -= 1

    def close(self) -> None:
        """Let the running slice finish and end the thread."""
        self._thread.shutdown(wait=True, cancel_futures=True)
