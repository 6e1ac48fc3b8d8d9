"""What a worker without models has instead of a registry: the versions that the owner holds."""

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path

from lockstep.errors import LockstepError
from lockstep.run.plan import ModelIdentity
from lockstep.serving.errors import NotReady
from lockstep.serving.fleet import Fleet
from lockstep.serving.metrics import Metrics
from lockstep.serving.one_copy.calling import OwnerCalls, read_serves
from lockstep.serving.one_copy.facts import read_version
from lockstep.serving.one_copy.link import Link
from lockstep.serving.one_copy.remote_lane import RemoteLane
from lockstep.serving.one_copy.wire import Header
from lockstep.serving.repository import Repository, Source
from lockstep.serving.versions import LoadedVersion
from lockstep.serving.workers.board import Wanted

# How soon what could not be followed is tried again.
AGAIN_S = 2.0

_log = logging.getLogger("lockstep.serving")


class OwnedModels:
    """The models of the owner, for one other worker.

    Args:
        calls: To the owner.
        link: To the owner.

    Attributes:
        calls, link: As given.
    """

    def __init__(self, calls: OwnerCalls, link: Link) -> None:
        self.calls = calls
        self.link = link

    def source(self, model: str, *, finish: Callable[[LoadedVersion], None], alias: str | None = None) -> Source:
        """Return where the versions of a model come from.

        Args:
            model: Registered model.
            finish: Completes a version here, as with features; may raise.
            alias: Of what is tried beside the champion; none: the champion.
        """

        def resolve(version: int | None) -> ModelIdentity:
            if alias is not None and version is None:
                told = self.calls.call("resolve", timeout_s=None, model=model, alias=alias)
                return ModelIdentity.model_validate(told["identity"])
            return read_version(self.calls.call("describe", model=model, version=version)).identity

        def load(identity: ModelIdentity) -> LoadedVersion:
            told = self.calls.call("describe", model=model, version=identity.version, digest=identity.digest)
            held = read_version(told)
            lane = RemoteLane(self.link, held.identity, signature=held.model.signature, limits=held.limits)
            version = LoadedVersion(held.identity, held.model, lane, parameters=held.parameters)
            finish(version)
            self.link.hold(lane)
            return version

        return Source(resolve, load, follows=False)


def owned_models(path: Path) -> OwnedModels:
    """Return the models of the owner that listens at a path."""
    return OwnedModels(OwnerCalls(path), Link(path))


class FrontRepository(Repository):
    """Serves what the owner does; what it is told to change it lets the owner change first."""

    def __init__(self, fleet: Fleet, sources: dict[str, Source], *, metrics: Metrics, owned: OwnedModels) -> None:
        super().__init__(fleet, sources, metrics=metrics)
        self._owned = owned
        self._failed: dict[tuple[str, int | None], float] = {}
        self._served_at: dict[str, int] = {}  # of each model when the owner said so what is followed here
        fleet.away = owned.link.away

    def posted(self) -> dict[str, Wanted]:
        """Return what the owner serves; waits until there is one."""
        return self._owned.calls.wait()

    async def load(self, name: str, *, version: int | None = None) -> LoadedVersion:
        """Let a version answer; see `Repository.load`."""
        return await self._told(name, "load", version=version)

    async def unload(self, name: str) -> None:
        """Stop serving a model; see `Repository.unload`."""
        self._source(name)
        await self._change(name, "unload")

    async def roll_back(self, name: str) -> LoadedVersion:
        """Let the previous version answer again; see `Repository.roll_back`."""
        return await self._told(name, "roll_back")

    async def keep_up(self, *, every_s: float) -> None:
        """Serve what the owner says that it does, forever."""
        link = self._owned.link
        while True:
            await link.pulsed.wait()
            link.pulsed.clear()
            for name in list(link.serves):
                wanted, at, kept = link.serves[name], link.serves_at, link.kept.get(name)  # of one pulse, the newest
                if name in self._sources and self._is_due(name, wanted):
                    await self._follow(name, wanted, at=at)
                    await self._keep(name, kept, at=at)
            if link.connected and not link.fresh:
                link.fresh = True
                _log.info("the worker that holds the models is back")
            await asyncio.sleep(every_s)

    async def _keep(self, name: str, number: int | None, *, at: int) -> None:
        """Keep for a rollback what the owner does, which may have been started again or have swapped twice."""
        async with self._changing[name]:
            if at < self._served_at.get(name, 0):
                return  # since then something else is served, and so kept
            slot = self.fleet.slot(name)
            dropped = slot.previous
            if number == (dropped.identity.version if dropped is not None else None):
                return
            version = None
            if number is not None:
                try:
                    identity = await asyncio.to_thread(self._sources[name].resolve, number)
                    version = await asyncio.to_thread(self._sources[name].load, identity)
                except LockstepError:  # it was dropped meanwhile, as the next pulse says
                    return
            slot.previous = version
            if dropped is not None:
                self._retire(dropped)

    async def _told(self, name: str, op: str, *, version: int | None = None) -> LoadedVersion:
        self._source(name)
        await self._change(name, op, version=version)
        current = self.fleet.slot(name).current
        if current is None:
            raise NotReady(name, reason="somebody else unloaded it")
        return current

    async def _change(self, name: str, op: str, *, version: int | None = None) -> None:
        told: Header = await asyncio.to_thread(self._owned.calls.call, op, timeout_s=None, model=name, version=version)
        await self._follow(name, read_serves(told)[name], at=int(told["at"]))

    def _is_due(self, name: str, wanted: Wanted) -> bool:
        return time.monotonic() - self._failed.get((name, wanted.version), -AGAIN_S) >= AGAIN_S

    async def _follow(self, name: str, wanted: Wanted, *, at: int) -> None:
        async with self._changing[name]:
            if at < self._served_at.get(name, 0):
                return  # a pulse that waited here while the answer to a later change was followed
            self._served_at[name] = at
            try:
                await self._serve(name, wanted)
            except Exception as error:  # noqa: BLE001 - the next pulse may find all well again
                _log.error("model %s cannot be followed (%s)", name, type(error).__name__)
            current = self.fleet.slot(name).current
            if (current.identity.version if current is not None else None) == wanted.version:
                self._failed.pop((name, wanted.version), None)
            else:
                self._failed[name, wanted.version] = time.monotonic()
