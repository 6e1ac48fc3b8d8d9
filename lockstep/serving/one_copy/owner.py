"""The worker that holds the models: answers the others over a Unix socket, from the lanes that it uses itself."""

import asyncio
import contextlib
import time
from pathlib import Path

from lockstep.serving.data_plane import DataPlane
from lockstep.serving.errors import NotReady
from lockstep.serving.fleet import ModelSlot
from lockstep.serving.one_copy.facts import find_held, tell_version, tell_wanted
from lockstep.serving.one_copy.guest import Call, Guest
from lockstep.serving.one_copy.wire import Header
from lockstep.serving.repository import Repository
from lockstep.serving.versions import LoadedVersion

# How soon the others know what is served, and how the lanes are doing.
PULSE_S = 0.2
BACKLOG = 128


class Owner:
    """Answers the other workers; belongs to the event loop of its data plane.

    Args:
        plane: Whose versions they use.
        repository: Changes them.
        path: Of the socket.
        logs: Whether there is a log of inferences.
    """

    def __init__(self, plane: DataPlane, repository: Repository, *, path: Path, logs: bool) -> None:
        self._plane = plane
        self._repository = repository
        self._path = path
        self._logs = logs
        self._calls: dict[str, Call] = {
            "state": self._state,
            "describe": self._describe,
            "resolve": self._resolve,
            "load": self._load,
            "unload": self._unload,
            "roll_back": self._roll_back,
        }

    async def run(self) -> None:
        """Answer for as long as the server runs."""
        loop = asyncio.get_running_loop()
        self._path.unlink(missing_ok=True)  # of one that was killed
        guests, busy = self._plane.guests, set[asyncio.Task[None]]()

        def fresh() -> Guest:
            return Guest(self._plane, held=self._held, calls=self._calls, busy=busy)

        server = await loop.create_unix_server(fresh, str(self._path), backlog=BACKLOG)
        self._path.chmod(0o600)
        try:
            while True:
                pulse = self._pulse()
                for guest in list(guests):
                    guest.tell(pulse)
                await asyncio.sleep(PULSE_S)
        finally:
            server.close()
            for guest in list(guests):
                guest.leave()
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)

    def _pulse(self) -> Header:
        """Tell what is served, and for each lane for how long it is stuck and what waits for it."""
        now, lanes = time.monotonic(), []
        for slot in self._plane.fleet:
            every = [*slot.versions, *(slot.arms.along if slot.arms is not None else ())]
            lanes += [
                [slot.name, each.identity.version, each.lane.stuck_s(now), each.lane.wait_s(now)] for each in every
            ]
        kept = {slot.name: slot.previous.identity.version for slot in self._plane.fleet if slot.previous is not None}
        return {"op": "pulse", **self._serves(), "kept": kept, "logs": self._logs, "lanes": lanes}

    def _serves(self) -> Header:
        """Tell what is served, and when that was so: answers and pulses overtake each other on their way."""
        passed_over = self._repository.passed_over
        serves = {slot.name: tell_wanted(slot, passed_over(slot.name)) for slot in self._plane.fleet}
        return {"serves": serves, "at": time.monotonic_ns()}

    def _held(self, model: str, version: int | None, digest: str | None) -> LoadedVersion | None:
        slot = self._plane.fleet.slots.get(model)
        return find_held(slot, version, digest=digest) if slot is not None else None

    def _slot(self, header: Header) -> ModelSlot:
        return self._plane.fleet.slot(header["model"])

    async def _state(self, _: Header) -> Header:
        return self._serves()

    async def _describe(self, header: Header) -> Header:
        version = self._held(header["model"], header.get("version"), header.get("digest"))
        if version is None:
            number = header.get("version")
            reason = "no version is loaded" if number is None else f"version {number} is not loaded"
            raise NotReady(header["model"], reason=reason)
        return tell_version(version)

    async def _resolve(self, header: Header) -> Header:
        """Find what is tried beside the champion: what is loaded of it, or what its alias names."""
        slot, alias = self._slot(header), header["alias"]
        companions = slot.arms.companions if slot.arms is not None else []
        companion = next((each for each in companions if each.alias == alias), None)
        if companion is None:
            raise NotReady(slot.name, reason=f"alias {alias!r} is not followed")
        if companion.serving is not None:
            return {"identity": tell_version(companion.serving)["identity"]}
        identity = await asyncio.to_thread(companion.source.resolve, None)
        return {"identity": identity.model_dump(mode="json")}

    async def _load(self, header: Header) -> Header:
        await self._repository.load(header["model"], version=header.get("version"))
        return self._serves()

    async def _unload(self, header: Header) -> Header:
        await self._repository.unload(header["model"])
        return self._serves()

    async def _roll_back(self, header: Header) -> Header:
        await self._repository.roll_back(header["model"])
        return self._serves()
