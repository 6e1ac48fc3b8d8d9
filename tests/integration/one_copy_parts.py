"""A worker that holds a model of which each moment can be chosen, and others that use it, all in one process."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from lockstep.errors import ArtifactInvalid
from lockstep.run.plan import ModelIdentity
from lockstep.serving.data_plane import DataPlane, Limits
from lockstep.serving.fleet import Fleet, ModelSlot
from lockstep.serving.lane_limits import LaneLimits
from lockstep.serving.lanes import Lane
from lockstep.serving.metrics import Metrics
from lockstep.serving.one_copy.fronts import FrontRepository, OwnedModels, owned_models
from lockstep.serving.one_copy.owner import Owner
from lockstep.serving.repository import Repository, Source
from lockstep.serving.versions import LoadedVersion
from tests.unit.serving.test_lane import Counting, lane_of
from tests.unit.serving.toy import IDENTITY


@dataclass
class Registry:
    """A registry of as many versions as one asks for, all of one backend."""

    backend: Counting = field(default_factory=Counting)
    limits: LaneLimits = field(default_factory=partial(LaneLimits, slo_s=60.0))
    broken: set[int] = field(default_factory=set)

    def resolve(self, version: int | None) -> ModelIdentity:
        number = version if version is not None else 1
        return IDENTITY.model_copy(update={"version": number, "digest": f"{number:064}"})

    def load(self, identity: ModelIdentity) -> LoadedVersion:
        if identity.version in self.broken:
            raise ArtifactInvalid(f"toy version {identity.version}", "it does not score its own input example")
        lane = lane_of(self.backend, self.limits)
        return LoadedVersion(identity, lane._scorer, lane)


class Held:
    """The worker that holds the models; may end and be started again."""

    def __init__(self, registry: Registry, path: Path) -> None:
        self.registry, self._path = registry, path
        self.start()

    def start(self) -> None:
        self.slot, metrics = ModelSlot("toy", "champion"), Metrics()
        self.slot.current = self.registry.load(self.registry.resolve(None))
        self.sizes: list[int] = []
        self.slot.current.lane.on_rows = self.sizes.append
        fleet = Fleet([self.slot])
        self.plane = DataPlane(fleet, metrics=metrics, limits=Limits())
        source = Source(self.registry.resolve, self.registry.load)
        self.repository = Repository(fleet, {"toy": source}, metrics=metrics)
        owner = Owner(self.plane, self.repository, path=self._path, logs=False)
        self._running = asyncio.create_task(owner.run())

    async def stop(self) -> None:
        self._running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._running

    @property
    def lane(self) -> Lane:
        assert self.slot.current is not None
        return self.slot.current.lane


class Front:
    """A worker without models."""

    def __init__(self, path: Path) -> None:
        self.owned: OwnedModels = owned_models(path)
        self.slot = ModelSlot("toy")
        self.fleet = Fleet([self.slot])
        source = self.owned.source("toy", finish=lambda _: None)
        self.repository = FrontRepository(self.fleet, {"toy": source}, metrics=Metrics(), owned=self.owned)
        self._source = source
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        await asyncio.to_thread(self.repository.posted)
        self.slot.current = await asyncio.to_thread(lambda: self._source.load(self._source.resolve(None)))
        self._tasks = [
            asyncio.create_task(self.owned.link.run()),
            asyncio.create_task(self.repository.keep_up(every_s=0.01)),
        ]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def lane(self) -> Lane:
        assert self.slot.current is not None
        return self.slot.current.lane


@contextlib.asynccontextmanager
async def endpoint(
    path: Path, registry: Registry | None = None, fronts: int = 2
) -> AsyncIterator[tuple[Held, list[Front]]]:
    """Run an owner and its fronts."""
    held = Held(registry or Registry(), path)
    others = [Front(path) for _ in range(fronts)]
    try:
        for front in others:
            await front.start()
        yield held, others
    finally:
        held.registry.backend.hold.set()
        for front in others:
            await front.stop()
        await held.stop()
