"""Which versions are served, and how that changes while requests run: an alias that moved, a command, a rollback.

A version takes over only when it is fetched, verified by its digest, loaded, and has scored its own example. Until
then, and when it fails, the present one goes on. The one before it stays loaded for a rollback.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from lockstep.errors import LockstepError
from lockstep.run.plan import ModelIdentity
from lockstep.serving.errors import ModelUnknown
from lockstep.serving.fleet import Fleet
from lockstep.serving.metrics import Metrics
from lockstep.serving.versions import LoadedVersion
from lockstep.serving.workers.board import Board, Wanted

_log = logging.getLogger("lockstep.serving")


@dataclass(frozen=True)
class Source:
    """Where the versions of one model come from.

    Attributes:
        resolve: Asks the registry for a version by number, or without one for that of the alias.
        load: Makes a version ready to answer; both may take long and run in a thread.
        follows: Whether the alias is asked for now and then.
    """

    resolve: Callable[[int | None], ModelIdentity]
    load: Callable[[ModelIdentity], LoadedVersion]
    follows: bool = True


class Repository:
    """Changes what a fleet serves; belongs to the fleet's event loop.

    Attributes:
        fleet: What is served.
    """

    def __init__(
        self, fleet: Fleet, sources: dict[str, Source], *, metrics: Metrics, board: Board | None = None
    ) -> None:
        self.fleet = fleet
        self._sources = sources
        self._metrics = metrics
        self._board = board
        self._changing = {name: asyncio.Lock() for name in sources}
        self._passed_over: dict[str, str] = {}  # of each model the digest that its alias names but that is not to serve
        self._ending: set[asyncio.Task[None]] = set()

    def names(self) -> list[str]:
        """Return all models that could be served, loaded or not."""
        return list(self._sources)

    def posted(self) -> dict[str, Wanted]:
        """Return what other workers of the endpoint were told to serve, of each model that somebody changed."""
        return self._board.read() if self._board is not None else {}

    def passed_over(self, name: str) -> str | None:
        """Return the digest that a model's alias names but that is not to serve, such as one that was rolled back."""
        return self._passed_over.get(name)

    async def load(self, name: str, *, version: int | None = None) -> LoadedVersion:
        """Let a version answer: the given one, or the alias's.

        Raises:
            ModelUnknown: No such model is configured.
            RegistryError: The registry cannot give it, or it cannot be loaded; what answered before still does.
        """
        source = self._source(name)
        async with self._changing[name]:
            identity = await asyncio.to_thread(source.resolve, version)
            self._passed_over.pop(name, None)
            if version is not None:  # the alias is followed again only when it moves
                self._passed_over[name] = (await asyncio.to_thread(source.resolve, None)).digest
            loaded = await self._take_over(name, identity)
            self._post(name)
            return loaded

    async def unload(self, name: str) -> None:
        """Stop serving a model, once its running requests are answered.

        Raises:
            ModelUnknown: No such model is configured.
        """
        self._source(name)
        async with self._changing[name]:
            for version in self.fleet.slot(name).unload():
                self._retire(version)
            self.tell()
            self._post(name)
        _log.info("model %s is no longer served", name)

    async def roll_back(self, name: str) -> LoadedVersion:
        """Let the previous version answer again, at once; the alias is followed again when it moves.

        Raises:
            ModelUnknown: No such model is configured.
            NothingToRollBackTo: No earlier version is loaded.
        """
        self._source(name)
        async with self._changing[name]:
            slot = self.fleet.slot(name)
            left = slot.current
            version = slot.roll_back()
            if left is not None:
                self._passed_over[name] = left.identity.digest
            self._swapped(version, "rolled back to")
            self._post(name)
            return version

    async def follow(self, *, every_s: float) -> None:
        """Ask the registry now and then whether an alias moved, forever."""
        while True:
            await asyncio.sleep(every_s)
            for name, source in self._sources.items():
                if source.follows and self.fleet.slot(name).current is not None:
                    await self._look(name, source)

    async def _look(self, name: str, source: Source) -> None:
        try:
            async with self._changing[name]:
                identity = await asyncio.to_thread(source.resolve, None)
                current = self.fleet.slot(name).current
                if current is None or identity.digest in {current.identity.digest, self._passed_over.get(name)}:
                    return
                self._passed_over[name] = identity.digest  # tried once, unless what failed may pass
                try:
                    await self._take_over(name, identity)
                    self._post(name)
                except LockstepError as error:
                    if error.retryable:
                        self._passed_over.pop(name, None)
                    raise
        except LockstepError as error:
            _log.warning("model %s: %s", name, error)
        except Exception:  # noqa: BLE001 - the next look may find the registry well again
            _log.exception("model %s could not be looked up", name)

    async def keep_up(self, *, every_s: float) -> None:
        """Do what other workers of the endpoint were told to do, forever."""
        while (board := self._board) is not None:
            for name in board.news() or ():
                if name in self._sources:
                    async with self._changing[name]:
                        # Not what was news before: the change that this waited for has been posted since.
                        await self._serve(name, board.read()[name])
            await asyncio.sleep(every_s)

    async def _serve(self, name: str, wanted: Wanted) -> None:
        """Serve what was asked for elsewhere, if it can be; the caller lets nobody else change the model meanwhile."""
        slot = self.fleet.slot(name)
        self._passed_over.pop(name, None)
        if wanted.passed_over is not None:
            self._passed_over[name] = wanted.passed_over
        current = slot.current.identity.version if slot.current is not None else None
        if wanted.version == current:
            return
        try:
            if wanted.version is None:
                for version in slot.unload():
                    self._retire(version)
                self.tell()
            elif slot.previous is not None and slot.previous.identity.version == wanted.version:
                self._swapped(slot.roll_back(), "goes with the other workers to")
            else:
                identity = await asyncio.to_thread(self._sources[name].resolve, wanted.version)
                await self._take_over(name, identity)
        except LockstepError as error:
            _log.warning("model %s: %s", name, error)

    def _post(self, name: str) -> None:
        """Tell the other workers."""
        if self._board is not None:
            current = self.fleet.slot(name).current
            version = current.identity.version if current is not None else None
            self._board.post(name, Wanted(version, self._passed_over.get(name)))

    async def _take_over(self, name: str, identity: ModelIdentity) -> LoadedVersion:
        slot = self.fleet.slot(name)
        current = slot.current
        if current is not None and (current.identity.digest, current.identity.version) == (
            identity.digest,
            identity.version,
        ):
            return current
        try:
            version = await asyncio.to_thread(self._sources[name].load, identity)
        except Exception:
            self._metrics.add("lockstep_refused_versions", name)
            serving = f"version {current.identity.version} goes on" if current is not None else "none is served"
            _log.error("model %s version %d cannot take over; %s", name, identity.version, serving)
            raise
        dropped = slot.swap(version)
        if dropped is not None:
            self._retire(dropped)
        self._swapped(version, "now serves")
        return version

    def _swapped(self, version: LoadedVersion, what: str) -> None:
        identity = version.identity
        self._metrics.add("lockstep_swaps", identity.name, version.number)
        self.tell()
        _log.info("model %s %s version %d, digest %s", identity.name, what, identity.version, identity.digest)

    def tell(self) -> None:
        """Let the metrics name the versions that answer."""
        currents = [slot.current for slot in self.fleet if slot.current is not None]
        self._metrics.info = {(each.identity.name, each.number, each.identity.digest) for each in currents}

    def _retire(self, version: LoadedVersion) -> None:
        ending = asyncio.get_running_loop().create_task(version.retire())
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    def _source(self, name: str) -> Source:
        source = self._sources.get(name)
        if source is None:
            raise ModelUnknown(name, None, served=", ".join(map(repr, self._sources)))
        return source
