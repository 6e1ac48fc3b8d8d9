"""How the arms of an endpoint's models change: each process looks now and then, and whoever is not to serve goes."""

import asyncio
import logging
from collections.abc import Callable, Sequence

from lockstep.serving.metrics import Metrics
from lockstep.serving.routing.arms import Arms
from lockstep.serving.routing.companions import Companion, Seen, look
from lockstep.serving.versions import LoadedVersion

REFUSED = "lockstep_refused_versions"

_log = logging.getLogger("lockstep.serving")


class Follower:
    """Loads and unloads companions; belongs to one event loop.

    Args:
        every: Arms of the models that have some.
        rolled_back: Of a model the digest that somebody took back, if any.
        metrics: Count what is refused.
    """

    def __init__(self, every: Sequence[Arms], *, rolled_back: Callable[[str], str | None], metrics: Metrics) -> None:
        self._every = tuple(every)
        self._rolled_back = rolled_back
        self._metrics = metrics
        self._looking = asyncio.Lock()
        self._ending: set[asyncio.Task[None]] = set()

    def begin(self) -> None:
        """Load what is to serve, before there is an event loop."""
        for arms in self._every:
            for companion in arms.companions:
                try:
                    self._take(arms, companion, self._seen(arms, companion))
                except Exception:  # noqa: BLE001 - whatever a challenger does, the champion answers
                    self._failed(arms, companion)

    async def follow(self, *, every_s: float) -> None:
        """Look now and then, forever."""
        while True:
            await asyncio.sleep(every_s)
            await self.look()

    async def look(self) -> None:
        """Look once at all companions."""
        async with self._looking:
            for arms in self._every:
                for companion in arms.companions:
                    await self._look_at(arms, companion)

    async def _look_at(self, arms: Arms, companion: Companion) -> None:
        try:
            self._take(arms, companion, await asyncio.to_thread(self._seen, arms, companion))
        except Exception:  # noqa: BLE001 - the next look may find all well again
            self._failed(arms, companion)

    @staticmethod
    def _failed(arms: Arms, companion: Companion) -> None:
        companion.problem = "it could not be looked up; the log says why"
        _log.exception("%s of model %s could not be looked up", companion.arm, arms.slot.name)

    def _seen(self, arms: Arms, companion: Companion) -> Seen:
        champion = arms.slot.current
        return look(
            companion,
            champion=champion.identity if champion is not None else None,
            rolled_back=self._rolled_back(arms.slot.name),
        )

    def _take(self, arms: Arms, companion: Companion, seen: Seen) -> None:
        """Let a companion be what a look found."""
        name, before = arms.slot.name, companion.version
        if seen.failed:
            self._metrics.add(REFUSED, name)
        if seen.problem and seen.problem != companion.problem:
            _log.warning("model %s, %s: %s", name, companion.arm, seen.detail or seen.problem)
        companion.problem, companion.refused, companion.version = seen.problem, seen.refused, seen.version
        if seen.version is before:
            return
        if seen.version is not None:
            identity = seen.version.identity
            _log.info("model %s, %s: version %d, digest %s", name, companion.arm, identity.version, identity.digest)
        if before is not None and not before.retired:
            self._retire(before)

    def _retire(self, version: LoadedVersion) -> None:
        ending = asyncio.get_running_loop().create_task(version.retire())
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)
