"""The data plane: admit, decode, score, encode. It knows no protocol; the edges hand in how to read and to answer."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import pyarrow as pa

from lockstep.run.plan import ModelIdentity
from lockstep.scoring.backends import Floats
from lockstep.scoring.reasons import INPUT_CODES, code_of
from lockstep.scoring.scorer import ScoredBatch, Scorer
from lockstep.serving.errors import Overloaded, RowsRefused, RowsUnscorable
from lockstep.serving.lane import ScoringLane
from lockstep.serving.metrics import Metrics

ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class Limits:
    """Bounds of one endpoint.

    Attributes:
        body_bytes: Largest request body.
        body_timeout_s: Longest time for a body to arrive.
        inline_bytes: Bodies up to this size are decoded on the event loop, larger ones in a thread.
        in_progress: Requests that may be in progress at a time; further ones are told to come back.
        retry_after_s: When they should.
    """

    body_bytes: int = 16 * 2**20
    body_timeout_s: float = 30.0
    inline_bytes: int = 64 * 2**10
    in_progress: int = 64
    retry_after_s: int = 1


@dataclass(frozen=True)
class ServedModel:
    """The model of this endpoint: resolved and loaded once, the same until the process ends."""

    identity: ModelIdentity
    scorer: Scorer


@dataclass(frozen=True)
class Question:
    """A decoded request: the rows, and how to write the answer once their scores are known."""

    batch: pa.RecordBatch
    encode: Callable[[Floats], bytes]


Decode = Callable[[bytes], Question]


@dataclass
class Trace:
    """What happened to one request so far, for its log line, its headers and the metrics."""

    request_id: str
    rows: int = 0
    stages_s: dict[str, float] = field(default_factory=dict)

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the seconds of the body to a stage."""
        clock = time.perf_counter()
        try:
            yield
        finally:
            self.stages_s[name] = self.stages_s.get(name, 0.0) + time.perf_counter() - clock


class DataPlane:
    """Answers questions about one model. Belongs to one event loop."""

    def __init__(self, model: ServedModel, *, metrics: Metrics, limits: Limits) -> None:
        self.model = model
        self.metrics = metrics
        self.limits = limits
        self.ready = True
        self._lane = ScoringLane(model.scorer)
        self._codec = ThreadPoolExecutor(max_workers=1, thread_name_prefix="codec")
        self._admitted = 0

    @contextlib.contextmanager
    def admission(self) -> Iterator[None]:
        """Hold one of the places for requests in progress.

        Raises:
            Overloaded: All are taken.
        """
        if self._admitted >= self.limits.in_progress:
            raise Overloaded(limit=self.limits.in_progress, retry_after_s=self.limits.retry_after_s)
        self._admitted += 1
        try:
            yield
        finally:
            self._admitted -= 1

    async def answer(self, body: bytes, decode: Decode, *, trace: Trace) -> bytes:
        """Answer one request.

        Args:
            body: Its body.
            decode: Reads the body; called once, perhaps in a thread.
            trace: Filled with rows and seconds per stage.

        Raises:
            RequestInvalid: `decode` refused the body.
            RowsUnscorable: The model has no finite score for some row.
            RowsRefused: No row without a score could be given to the model.
        """
        apart = len(body) > self.limits.inline_bytes
        with trace.stage("decode"):
            question = await self._run(decode, body, apart=apart)
        trace.rows = question.batch.num_rows
        with trace.stage("score"):
            scored: ScoredBatch = await self._lane.score(question.batch)
        if scored.reasons:
            sent_so = all(code_of(reason) in INPUT_CODES for reason in scored.reasons.values())
            kind = RowsRefused if sent_so else RowsUnscorable
            raise kind(scored.reasons, rows=question.batch.num_rows)
        with trace.stage("encode"):
            return await self._run(question.encode, scored.values, apart=apart)

    async def _run(self, function: Callable[..., ResultT], argument: object, *, apart: bool) -> ResultT:
        if not apart:
            return function(argument)
        return await asyncio.get_running_loop().run_in_executor(self._codec, function, argument)

    def close(self) -> None:
        """Stop being ready and end the threads."""
        self.ready = False
        self._lane.close()
        self._codec.shutdown(wait=True, cancel_futures=True)
