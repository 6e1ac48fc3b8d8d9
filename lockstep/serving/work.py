"""Rows of requests on their way through a lane: put together to micro-batches, scored, and given out again."""

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from lockstep.scoring.scorer import ScoredBatch, Scorer
from lockstep.scoring.signature import Signature
from lockstep.serving.errors import ClientGone
from lockstep.serving.rows import PlainRows, Rows, merged, slice_rows, to_batch

Gone = Callable[[], Awaitable[None]]


@dataclass(eq=False, slots=True)
class Work:
    """Rows of one request on their way through the lane.

    Attributes:
        rows: Checked rows.
        answered: Gets the scores.
        due: When they should be there, by `time.monotonic`: what orders the queue.
        expires: When nobody waits for them any more.
        arrived: When they came.
        label: What the log of inferences calls them.
        nbytes: About what the rows take; adding it up anew costs more than it seems.
        started: When the model first had some of them.
        taken: Rows that the model has or had.
        done: Rows that are scored.
        parts: Their scores, with the row that each part starts at; in the order in which they were ready.
        compute_s: Seconds of the micro-batches that they were in.
        ahead_rows, ahead_s: Rows that waited when they came, and what was left of the micro-batches that ran.
    """

    rows: Rows
    answered: "asyncio.Future[ScoredBatch]"
    due: float
    expires: float
    arrived: float
    label: object = None
    nbytes: int = 0
    started: float = 0.0
    taken: int = 0
    done: int = 0
    parts: list[tuple[int, ScoredBatch]] = field(default_factory=list)
    compute_s: float = 0.0
    ahead_rows: int = 0
    ahead_s: float = 0.0

    def joined(self) -> ScoredBatch:
        """Return the scores of all rows in order, once all parts are there."""
        if len(self.parts) > 1:
            self.parts.sort(key=_start)
        return ScoredBatch.join([scores for _, scores in self.parts])


async def drop_when(gone: Gone, work: Work) -> None:
    """Forget work once its client went away."""
    await gone()
    if not work.answered.done():
        work.answered.set_exception(ClientGone())


@dataclass(eq=False, slots=True)
class Running:
    """A micro-batch in a thread: since when, and until when by its prediction."""

    since: float
    until: float


@dataclass(frozen=True, slots=True)
class Share:
    """Part of a micro-batch: `count` rows of a request, from its row `start` on."""

    work: Work
    start: int
    count: int


@dataclass(frozen=True)
class Scored:
    """A micro-batch that ran.

    Attributes:
        shares: Whose rows they are.
        rows: The rows.
        scores: Of them.
        seconds: That it took.
        signature: Of the model.
    """

    shares: Sequence[Share]
    rows: Rows
    scores: ScoredBatch
    seconds: float
    signature: Signature

    @functools.cached_property
    def batch(self) -> pa.RecordBatch:
        """The rows as a batch, which is built when somebody wants it: scoring a few needs none."""
        return to_batch([self.rows], self.signature)


@dataclass(frozen=True, slots=True)
class Failed:
    """A request whose rows could not be scored, by itself."""

    work: Work
    error: Exception


def score_shares(scorer: Scorer, shares: Sequence[Share]) -> tuple[list[Scored], list[Failed]]:
    """Score a micro-batch; when it fails as a whole, halve it, so that only the culprit fails.

    Rows for which the model raises are found by the Scorer itself; this is for what fails around it.
    """
    clock = time.perf_counter()
    try:
        rows = merged([slice_rows(s.work.rows, s.start, s.count) for s in shares], scorer.signature)
        scores = scorer.score_values(rows.columns, rows.num_rows) if isinstance(rows, PlainRows) else None
        if scores is None:
            rows = to_batch([rows], scorer.signature)
            scores = scorer.score(rows, where="the request")
    except Exception as error:  # noqa: BLE001 - whatever it is, the other requests are not at fault
        if len(shares) == 1:
            return [], [Failed(shares[0].work, error)]
        half = len(shares) // 2
        first, second = score_shares(scorer, shares[:half]), score_shares(scorer, shares[half:])
        return [*first[0], *second[0]], [*first[1], *second[1]]
    return [Scored(shares, rows, scores, time.perf_counter() - clock, scorer.signature)], []


def _start(part: tuple[int, ScoredBatch]) -> int:
    return part[0]


def cut(scores: ScoredBatch, start: int, rows: int) -> ScoredBatch:
    """Return the scores of some rows of a micro-batch."""
    if start == 0 and rows == len(scores.outputs[0]):
        return scores
    stop = start + rows
    reasons = {row - start: why for row, why in scores.reasons.items() if start <= row < stop} if scores.reasons else {}
    return ScoredBatch(tuple(array[start:stop] for array in scores.outputs), reasons)
