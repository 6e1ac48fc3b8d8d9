"""What waits in a lane, in the order in which it is due."""

import heapq
from itertools import count

from lockstep.serving.errors import DeadlinePassed
from lockstep.serving.work import Share, Work


class WorkQueue:
    """Requests of which rows wait.

    Attributes:
        heap: When each is due, a number that decides between equals, and the request.
        rows, bytes: Of requests of which no row was taken yet: of one that has begun, others wait for a slice at most.
    """

    def __init__(self) -> None:
        self.heap: list[tuple[float, int, Work]] = []
        self.rows = 0
        self.bytes = 0
        self._number = count()

    def push(self, work: Work) -> None:
        """Let a request, or what is left of it, wait."""
        heapq.heappush(self.heap, (work.due, next(self._number), work))
        if not work.taken:
            self.rows += work.rows.num_rows
            self.bytes += work.nbytes

    def _pop(self) -> Work:
        work = heapq.heappop(self.heap)[2]
        if not work.taken:
            self.rows -= work.rows.num_rows
            self.bytes -= work.nbytes
        return work

    def take(self, rows_left: int, bytes_left: int, *, now: float) -> list[Share]:
        """Take the rows of the next micro-batch; forget work that nobody waits for.

        Args:
            rows_left: Most rows, at least one.
            bytes_left: Most bytes; one row is taken whatever its size.
            now: By `time.monotonic`.
        """
        shares: list[Share] = []
        while self.heap and rows_left > 0 and bytes_left > 0:
            work = self._pop()
            if work.answered.done():
                continue
            if now > work.expires:
                work.answered.set_exception(DeadlinePassed(predicted=False))
                continue
            left = work.rows.num_rows - work.taken
            row_bytes = max(work.nbytes // max(work.rows.num_rows, 1), 1)
            taken = min(left, rows_left, max(bytes_left // row_bytes, 1 if not shares else 0))
            if left and not taken:
                self.push(work)
                break
            work.started = work.started or now
            shares.append(Share(work, work.taken, taken))
            work.taken += taken
            rows_left, bytes_left = rows_left - taken, bytes_left - taken * row_bytes
            if taken < left:
                self.push(work)
        return shares
