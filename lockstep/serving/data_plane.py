"""The data plane: admit, decode, score, encode. It knows no protocol; the edges hand in how to read and to answer."""

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from lockstep.scoring.backends import Arrays
from lockstep.scoring.reasons import INPUT_CODES, code_of
from lockstep.serving.errors import NotReady, Overloaded, RowsRefused, RowsUnscorable
from lockstep.serving.exchange import Arrivals, Headers
from lockstep.serving.fleet import Fleet
from lockstep.serving.metrics import Metrics
from lockstep.serving.rows import Rows
from lockstep.serving.trace import Trace
from lockstep.serving.versions import LoadedVersion
from lockstep.serving.work import Gone

if TYPE_CHECKING:
    from lockstep.serving.one_copy.guest import Guest
    from lockstep.serving.routing.arms import Arms

ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class Limits:
    """Bounds of one endpoint.

    Attributes:
        body_bytes: Largest request body.
        body_timeout_s: Longest time for a body to arrive.
        arriving_bytes: What may have arrived of large bodies that are not complete, of all requests together.
        inline_bytes: Bodies up to this size are decoded on the event loop, larger ones in a thread.
        in_progress: Requests that may be in progress at a time; further ones are told to come back.
        stuck_s: The server is no longer alive when a micro-batch runs for so long beyond its prediction.
    """

    body_bytes: int = 16 * 2**20
    body_timeout_s: float = 30.0
    arriving_bytes: int = 512 * 2**20
    inline_bytes: int = 64 * 2**10
    in_progress: int = 256
    stuck_s: float = 60.0


@dataclass(frozen=True)
class Content:
    """The body of an answer and the headers that describe it."""

    body: bytes
    media_type: str
    headers: Headers = ()


@dataclass(frozen=True)
class Question:
    """A decoded request.

    Attributes:
        rows: Checked rows.
        encode: Writes the answer once their scores are known.
        timeout_s: How long after it came the request wants its answer, if it says so.
    """

    rows: Rows
    encode: Callable[[Arrays], Content]
    timeout_s: float | None = None


class Places:
    """Places for requests in progress, of which a request holds one."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.taken = 0

    def require(self) -> None:
        """Check that there is a place, or raise `Overloaded`."""
        if self.taken >= self._limit:
            raise Overloaded(f"{self.taken} requests are in progress already", retry_after_s=1)

    def __enter__(self) -> None:
        """Take a place; raises `Overloaded` when all are taken."""
        self.require()
        self.taken += 1

    def __exit__(self, *_: object) -> None:
        """Give it back."""
        self.taken -= 1


class DataPlane:
    """Answers questions to the models of a fleet. Belongs to one event loop."""

    def __init__(self, fleet: Fleet, *, metrics: Metrics, limits: Limits) -> None:
        self.fleet = fleet
        self.metrics = metrics
        self.limits = limits
        self.arms: Mapping[str, Arms] = {}  # of the models that have some
        self.draining = False  # answers everybody still, so that whoever asks for readiness can turn away before
        self.stopping = False
        self.guests: set[Guest] = set()  # other processes that score with the models of this one
        self._codec = ThreadPoolExecutor(max_workers=1, thread_name_prefix="codec")
        self.admitted = Places(limits.in_progress)
        self.arrivals = Arrivals(limits.arriving_bytes)

    @property
    def ready(self) -> bool:
        """Whether requests are taken: every model is loaded, and the server is not stopping."""
        return not self.draining and not self.stopping and self.fleet.ready

    @property
    def live(self) -> bool:
        """Whether no lane is stuck; when one is, only a new process helps."""
        now = time.monotonic()
        lanes = (version.lane for slot in self.fleet for version in slot.versions)
        return all(lane.stuck_s(now) < self.limits.stuck_s for lane in lanes)

    def find(self, name: str | None, version: str | None) -> LoadedVersion:
        """Return the version that a request is for.

        Args:
            name: Registered model; none: the default one.
            version: Its number as text; none or empty: the one that answers now.

        Raises:
            ModelUnknown: It is not served here.
            NotReady: It is not loaded yet, or the server is stopping.
        """
        if self.stopping:
            raise NotReady(None, reason="it is stopping")
        return self.fleet.find(name, version)

    async def answer(self, target: LoadedVersion, rows: Rows, *, trace: Trace, gone: Gone | None = None) -> Arrays:
        """Score the rows of one request.

        Args:
            target: Who answers; from `find`.
            rows: Checked rows.
            trace: Filled with rows and seconds per stage; says when the request expires.
            gone: Returns when the client went away; its work is dropped then.

        Returns:
            One `(rows, *shape)` array per output.

        Raises:
            Overloaded: Too much waits already.
            DeadlinePassed: The request expired before its turn came.
            ClientGone: The client went away before.
            RowsUnscorable: The model has no finite score for some row.
            RowsRefused: No row without a score could be given to the model.
            FeatureSourceUnavailable, FeaturesRefused, FeatureSourceInvalid: What it lacks could not be looked up.
        """
        trace.rows = rows.num_rows
        with target:
            if target.enricher is not None:
                clock = time.perf_counter()
                rows = await target.enricher.fill(rows, expires=trace.expires)
                trace.stages_s["features"] = time.perf_counter() - clock
            alone = self.metrics.in_progress <= 1
            scored, work = await target.lane.score(rows, expires=trace.expires, label=trace, gone=gone, alone=alone)
        trace.stages_s["queue"] = work.started - work.arrived
        trace.stages_s["compute"] = work.compute_s
        if trace.span is not None:
            trace.span.scored(work)
        if scored.reasons:
            sent_so = all(code_of(reason) in INPUT_CODES for reason in scored.reasons.values())
            kind = RowsRefused if sent_so else RowsUnscorable
            raise kind(scored.reasons, rows=rows.num_rows)
        return scored.outputs

    async def run(self, function: Callable[..., ResultT], argument: object, *, apart: bool) -> ResultT:
        """Call a codec, in a thread when there is much to read or write."""
        if not apart:
            return function(argument)
        return await asyncio.get_running_loop().run_in_executor(self._codec, function, argument)

    def close(self) -> None:
        """Stop being ready and end the threads."""
        self.stopping = True
        for arms in self.arms.values():
            arms.close()
        for slot in self.fleet:
            for version in slot.versions:
                version.lane.close()
        self._codec.shutdown(wait=True, cancel_futures=True)
