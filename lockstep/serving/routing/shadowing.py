"""Shadows: versions that score what was answered, afterwards, and are compared with it.

An answer never waits for them. What they have to score is bounded, in rows and in bytes; beyond that, and when a
shadow's own lane is full, a request is not scored by it, which is counted.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lockstep.errors import LockstepError
from lockstep.scoring.backends import Arrays
from lockstep.serving.errors import Overloaded
from lockstep.serving.inference_log.hand_over import is_picked
from lockstep.serving.metrics import Metrics
from lockstep.serving.routing.companions import Companion
from lockstep.serving.routing.comparison import distances, shared_outputs
from lockstep.serving.rows import Rows
from lockstep.serving.trace import Trace
from lockstep.serving.versions import LoadedVersion

ROWS, DIFFERENCE = "lockstep_shadow_rows", "lockstep_shadow_difference"

_log = logging.getLogger("lockstep.serving")


@dataclass(frozen=True)
class Answered:
    """What was answered, for those who score along.

    Attributes:
        trace: Of the request, with the arm that answered.
        target: The version that did.
        rows: Of the request, decoded for that version.
        outputs: What it answered: `(rows, *shape)` arrays.
        read: Decodes the request for another version, in a thread.
        nbytes: About what is kept until it is compared.
    """

    trace: Trace
    target: LoadedVersion
    rows: Rows
    outputs: Arrays
    read: Callable[[LoadedVersion], Rows]
    nbytes: int


@dataclass(frozen=True)
class ShadowLimits:
    """What shadows score, and what may wait for them.

    Attributes:
        sample: Share of the requests; with the same share the inference log has the same requests.
        tolerance: Largest difference of two scores that agree.
        compared: Outputs that are compared; none: all that both versions have.
        rows, nbytes: What may wait, for each shadow.
    """

    sample: float = 1.0
    tolerance: float = 0.01
    compared: tuple[str, ...] | None = None
    rows: int = 65_536
    nbytes: int = 64 * 2**20


class Shadowing:
    """Lets the shadows of one model score along; belongs to one event loop.

    Attributes:
        shadows: Who scores along.
    """

    def __init__(self, shadows: Sequence[Companion], limits: ShadowLimits, *, metrics: Metrics) -> None:
        self.shadows = tuple(shadows)
        self._limits = limits
        self._metrics = metrics
        self._waiting = {shadow.arm: (0, 0) for shadow in shadows}
        self._running: set[asyncio.Task[None]] = set()

    def offer(self, answered: Answered) -> None:
        """Let the shadows score a request once its answer is on its way; returns at once."""
        if not answered.rows.num_rows:
            return
        if self._limits.sample < 1 and not is_picked(answered.trace.request_id, self._limits.sample):
            return
        for shadow in self.shadows:
            version = shadow.serving
            if version is None:
                continue
            rows, nbytes = self._waiting[shadow.arm]
            rows, nbytes = rows + answered.rows.num_rows, nbytes + answered.nbytes
            if rows > self._limits.rows or nbytes > self._limits.nbytes:
                self._count(shadow, version, answered, dropped=answered.rows.num_rows)
                continue
            self._waiting[shadow.arm] = rows, nbytes
            # A task begins in a later turn of the loop: the answer is written in this one.
            task = asyncio.get_running_loop().create_task(self._follow_up(shadow, version, answered))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def settle(self) -> None:
        """Wait until all that was offered is compared."""
        while self._running:
            await asyncio.gather(*self._running, return_exceptions=True)

    async def _follow_up(self, shadow: Companion, version: LoadedVersion, answered: Answered) -> None:
        count = answered.rows.num_rows
        try:
            if not version.retired:  # meanwhile, and then nobody wants to know
                with version:
                    await self._compare(shadow, version, answered)
        except Overloaded:
            self._count(shadow, version, answered, dropped=count)
        except LockstepError:  # the request does not fit the shadow's signature
            self._count(shadow, version, answered, unscorable=count)
        except Exception as error:  # noqa: BLE001 - nobody waits for a shadow, so nobody else would notice
            _log.error("shadow %s of %s failed with %s", shadow.arm, version.title, type(error).__name__)
            self._count(shadow, version, answered, unscorable=count)
        finally:
            rows, nbytes = self._waiting[shadow.arm]
            self._waiting[shadow.arm] = rows - count, nbytes - answered.nbytes

    async def _compare(self, shadow: Companion, version: LoadedVersion, answered: Answered) -> None:
        target, trace = answered.target, answered.trace
        rows = answered.rows
        if version.signature.inputs != target.signature.inputs:
            rows = await asyncio.to_thread(answered.read, version)
        label = Trace(trace.request_id, edge=trace.edge, model=trace.model, version=version.number, arm=shadow.arm)
        label.client, label.rows = trace.client, rows.num_rows
        scored, work = await version.lane.score(rows, label=label)
        label.stages_s.update(queue=work.started - work.arrived, compute=work.compute_s)
        places = shared_outputs(target.signature, version.signature, compared=self._limits.compared)
        if not places:
            self._count(shadow, version, answered, unscorable=rows.num_rows)
            return
        apart = distances(answered.outputs, scored.outputs, places)
        known = np.ones(len(apart), bool)
        known[list(scored.reasons)] = False
        apart = apart[known]
        agreed = int(np.count_nonzero(apart <= self._limits.tolerance))
        self._count(
            shadow, version, answered, agreed=agreed, differed=len(apart) - agreed, unscorable=len(scored.reasons)
        )
        labels = (version.identity.name, version.number, shadow.arm, trace.arm)
        self._metrics.spread(DIFFERENCE, *labels).observe_all(apart[np.isfinite(apart)])

    def _count(self, shadow: Companion, version: LoadedVersion, answered: Answered, **rows: int) -> None:
        for outcome, value in rows.items():
            if value:
                who = (version.identity.name, version.number, shadow.arm, answered.trace.arm)
                self._metrics.add(ROWS, *who, outcome, value=value)

    def close(self) -> None:
        """Forget what is not compared yet."""
        for task in self._running:
            task.cancel()
