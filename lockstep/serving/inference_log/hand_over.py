"""Where the event loop leaves scored micro-batches for the writer: bounded, and never waited for.

One thread puts, one takes. What is counted is counted up by one of the two only, so nothing needs a lock.
"""

import pickle
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

import pyarrow as pa

from lockstep.scoring.arms import Split
from lockstep.scoring.backends import Arrays
from lockstep.serving.inference_log.layout import Layout
from lockstep.serving.rows import PlainRows, Rows
from lockstep.serving.trace import Trace
from lockstep.serving.work import Scored

# Tells the draw of the log from those of trials, which split by the same function.
SALT = "lockstep.inference_log"
# About what is kept of a request beside its rows.
REQUEST_BYTES = 1024
# The writer is woken when so much of what may wait does.
HURRY = 0.25


class Entry(NamedTuple):
    """One micro-batch to be written, with few objects that the garbage collector has to look at while it waits.

    Attributes:
        layout: Of the version that scored it.
        labels: Of each request in it its trace; anything else is not logged.
        starts, counts: Of each request its first row here, and how many.
        content: The rows: a batch, or plain values in one piece.
        size: Rows.
        outputs, reasons: Of their scores.
        scored_at: Seconds since 1970.
        clock: The same moment by `time.perf_counter`.
        nbytes: About what it weighs.
    """

    layout: Layout
    labels: tuple[object, ...]
    starts: tuple[int, ...]
    counts: tuple[int, ...]
    content: pa.RecordBatch | bytes
    size: int
    outputs: Arrays
    reasons: dict[int, str]
    scored_at: float
    clock: float
    nbytes: int

    @property
    def rows(self) -> Rows:
        """The rows."""
        if not isinstance(self.content, bytes):
            return self.content
        # Written by `put`, in this process.
        return PlainRows(pickle.loads(self.content), self.size, len(self.content))  # noqa: S301

    @property
    def logged_rows(self) -> int:
        """How many of the rows are logged."""
        return _logged(self.labels, self.counts)


class HandOver:
    """Micro-batches that wait to be written.

    Attributes:
        wanted: Set when the writer should come before its time.
    """

    def __init__(
        self, *, most_rows: int, most_bytes: int, sample: float, on_dropped: Callable[[int], None] = lambda _: None
    ) -> None:
        """Begin empty.

        Args:
            most_rows: Rows that may wait.
            most_bytes: About what they may weigh.
            sample: Share of the requests that are logged.
            on_dropped: Told, in the event loop, of rows for which there was no room.
        """
        self.wanted = threading.Event()
        self._most_rows = most_rows
        self._most_bytes = most_bytes
        self._sample = sample
        self._on_dropped = on_dropped
        self._entries: deque[Entry] = deque()
        self._put_rows = self._put_bytes = 0
        self._taken_rows = self._taken_bytes = 0

    @property
    def waiting_rows(self) -> int:
        """Rows that wait."""
        return self._put_rows - self._taken_rows

    @property
    def waiting_bytes(self) -> int:
        """About what they weigh."""
        return self._put_bytes - self._taken_bytes

    @property
    def presses(self) -> bool:
        """Whether so much waits that it should be written before its time."""
        return self.waiting_rows > self._most_rows * HURRY or self.waiting_bytes > self._most_bytes * HURRY

    def put(self, layout: Layout, scored: Scored) -> None:
        """Leave a micro-batch, or drop it when there is no room; called by the event loop.

        Rows whose label is no `Trace` are nobody's request, and are not logged.
        """
        if not scored.rows.num_rows:
            return
        shares, rows = scored.shares, scored.rows
        labels = tuple([share.work.label for share in shares])
        counts = tuple([share.count for share in shares])
        if self._sample < 1:
            labels = tuple([label if self._draws(label) else None for label in labels])
            if not any(labels):
                return
        content, nbytes = _packed(scored)
        waiting_rows, waiting_bytes = self.waiting_rows + rows.num_rows, self.waiting_bytes + nbytes
        if waiting_rows > self._most_rows or waiting_bytes > self._most_bytes:
            self._on_dropped(_logged(labels, counts))
            return
        self._put_rows += rows.num_rows
        self._put_bytes += nbytes
        starts, scores, now = tuple([share.start for share in shares]), scored.scores, time.perf_counter()
        what = (content, rows.num_rows, scores.outputs, scores.reasons)
        self._entries.append(Entry(layout, labels, starts, counts, *what, time.time(), now, nbytes))
        if self.presses:
            self.wanted.set()

    def _draws(self, label: object) -> bool:
        return isinstance(label, Trace) and is_picked(label.request_id, self._sample)

    def take(self, *, until: float, most_requests: int) -> list[Entry]:
        """Take micro-batches in their order; called by the writer.

        Args:
            until: Only such as were left before this moment of `time.perf_counter`.
            most_requests: Stop when there are so many requests.
        """
        found: list[Entry] = []
        requests = 0
        while self._entries and requests < most_requests and self._entries[0].clock <= until:
            entry = self._entries.popleft()
            requests += len(entry.labels)
            found.append(entry)
        return found

    def done(self, entries: Sequence[Entry]) -> None:
        """Give the room of taken micro-batches back; called by the writer."""
        self._taken_rows += sum([entry.size for entry in entries])
        self._taken_bytes += sum([entry.nbytes for entry in entries])


def is_picked(request_id: str, sample: float) -> bool:
    """Whether a request is in a sample; who is in at 5 % is in at 20 %, in every process.

    The position is that of `lockstep.scoring.arms` for a table with a column `request_id`.
    """
    return _SPLIT.position({"request_id": request_id}) < sample


_SPLIT = Split(SALT, ("request_id",))


def _logged(labels: Sequence[object], counts: Sequence[int]) -> int:
    return sum([count for label, count in zip(labels, counts, strict=True) if isinstance(label, Trace)])


def _packed(scored: Scored) -> tuple[pa.RecordBatch | bytes, int]:
    """Return the rows as they wait, and about what an entry weighs; a slice of a batch weighs its share of that."""
    rows, whole = scored.rows, scored.shares[0].work.rows
    content: pa.RecordBatch | bytes
    if isinstance(rows, PlainRows):  # few, as many are a batch: objects in one piece are one object
        content = pickle.dumps(rows.columns, pickle.HIGHEST_PROTOCOL)
        nbytes = len(content)
    else:
        content, nbytes = rows, int(rows.get_total_buffer_size())
        if len(scored.shares) == 1 and rows.num_rows < whole.num_rows and not isinstance(whole, PlainRows):
            nbytes = nbytes * rows.num_rows // whole.num_rows
    return content, nbytes + sum([array.nbytes for array in scored.scores.outputs]) + REQUEST_BYTES * len(scored.shares)
