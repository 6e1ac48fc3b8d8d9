"""The models of an endpoint: which version of each answers, and how another takes its place."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lockstep.serving.errors import ModelUnknown, NothingToRollBackTo, NotReady
from lockstep.serving.versions import LoadedVersion

if TYPE_CHECKING:
    from lockstep.serving.routing.arms import Arms


@dataclass(eq=False)
class ModelSlot:
    """One served model.

    Attributes:
        name: Registered model.
        alias: Which it follows; none: its versions change by hand only.
        current: The version that answers unless a request names another; none while it is not loaded.
        previous: The one before it, kept for a rollback.
        pinned: Further versions that requests may name.
        arms: Who answers and scores along beside it; none: it answers alone.
    """

    name: str
    alias: str | None = None
    current: LoadedVersion | None = None
    previous: LoadedVersion | None = None
    pinned: dict[int, LoadedVersion] = field(default_factory=dict)
    arms: "Arms | None" = None

    @property
    def versions(self) -> list[LoadedVersion]:
        """All loaded versions that requests may name, by number; each once."""
        challenger = self.arms.challenger if self.arms is not None else None
        own = (challenger, self.current, self.previous, *self.pinned.values())
        loaded = [version for version in own if version is not None]
        return sorted({version.identity.version: version for version in loaded}.values(), key=_number)

    @property
    def answering(self) -> list[LoadedVersion]:
        """The versions that answer requests which name none: the current one, and a challenger."""
        challenger = self.arms.challenger if self.arms is not None else None
        return [version for version in (self.current, challenger) if version is not None]

    def find(self, version: str | None) -> LoadedVersion:
        """Return the version that a request is for.

        Args:
            version: Its number as text; none or empty: the current one.

        Raises:
            ModelUnknown: That version is not loaded.
            NotReady: None is.
        """
        if self.current is None:
            raise NotReady(self.name, reason="no version is loaded")
        if not version or version == str(self.current.identity.version):
            return self.current
        found = next((v for v in self.versions if str(v.identity.version) == version), None)
        if found is None:
            served = ", ".join(str(v.identity.version) for v in self.versions)
            raise ModelUnknown(self.name, version, served=f"{self.name!r} in version {served}")
        return found

    def swap(self, version: LoadedVersion) -> LoadedVersion | None:
        """Let another version answer from now on; return the one that is no longer needed.

        Requests that are being answered keep the version that they began with.
        """
        if self.current is not None and version.identity.digest == self.current.identity.digest:
            same, self.current = self.current, version
            return same
        dropped, self.previous, self.current = self.previous, self.current, version
        return None if dropped is version or dropped in self.pinned.values() else dropped

    def roll_back(self) -> LoadedVersion:
        """Let the previous version answer again, at once; return it.

        Raises:
            NothingToRollBackTo: There is none.
        """
        if self.previous is None:
            raise NothingToRollBackTo(self.name)
        self.current, self.previous = self.previous, self.current
        return self.current

    def unload(self) -> list[LoadedVersion]:
        """Stop serving the model; return its versions, which are to be retired."""
        dropped = self.versions
        self.current, self.previous = None, None
        self.pinned.clear()
        return dropped


class Fleet:
    """The served models by name."""

    def __init__(self, slots: "list[ModelSlot]", *, default: str | None = None) -> None:
        self.slots = {slot.name: slot for slot in slots}
        self.default = default or (slots[0].name if len(slots) == 1 else None)
        self.generation = 0
        # Whether the process that holds the models cannot be asked; none: it is this one.
        self.away: Callable[[], bool] | None = None

    def __iter__(self) -> Iterator[ModelSlot]:
        """Go through the models."""
        return iter(self.slots.values())

    def slot(self, name: str | None) -> ModelSlot:
        """Return a model.

        Args:
            name: None: the default one.

        Raises:
            ModelUnknown: It is not served.
        """
        wanted = name if name is not None else self.default
        slot = self.slots.get(wanted) if wanted is not None else None
        if slot is None:
            served = ", ".join(repr(each) for each in self.slots) or "no model"
            raise ModelUnknown(name, None, served=served)
        return slot

    def find(self, name: str | None, version: str | None) -> LoadedVersion:
        """Return the version that a request is for; raises what `slot` and `ModelSlot.find` do."""
        if self.away is not None and self.away():
            raise NotReady(self.slot(name).name, reason="the worker that holds it is starting")
        return self.slot(name).find(version)

    async def settle(self) -> None:
        """Wait until the shadows of all models have scored what was answered."""
        for slot in self:
            if slot.arms is not None:
                await slot.arms.settle()

    @property
    def ready(self) -> bool:
        """Whether every model has a version that answers."""
        return all(slot.current is not None for slot in self) and not (self.away is not None and self.away())


def _number(version: LoadedVersion) -> int:
    return version.identity.version
