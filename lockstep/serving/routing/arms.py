"""Who answers for a model beside its champion, and for which share of the keys."""

import datetime as dt
import functools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lockstep.scoring.arms import Split, salt_of
from lockstep.scoring.signature import Signature
from lockstep.serving.routing.companions import Companion
from lockstep.serving.routing.keys import Key, read_key
from lockstep.serving.versions import LoadedVersion

if TYPE_CHECKING:
    from lockstep.serving.fleet import ModelSlot
    from lockstep.serving.routing.shadowing import Shadowing

Fraction = Callable[[dt.date], float]

CHAMPION = "champion"
DAY_S = 86_400


class Ramp:
    """The share of the keys that a challenger answers for, by the day in UTC.

    Args:
        fraction: Gives the share of a day, 0..1.
        clock: Seconds since 1970.

    Attributes:
        fraction: As given; may be replaced.
    """

    def __init__(self, fraction: Fraction, *, clock: Callable[[], float] = time.time) -> None:
        self.fraction = fraction
        self._clock = clock
        self._known: tuple[int, Fraction, float] | None = None

    @property
    def share(self) -> float:
        """Of today."""
        day, fraction, known = int(self._clock() // DAY_S), self.fraction, self._known
        if known is None or known[0] != day or known[1] is not fraction:
            self._known = known = (day, fraction, fraction(_date(day)))
        return known[2]

    def idle(self) -> str:
        """Say why no challenger is needed; one is loaded the day before it answers, to be there at midnight."""
        day = int(self._clock() // DAY_S)
        if self.fraction(_date(day)) or self.fraction(_date(day + 1)):
            return ""
        return f"the ramp gives {_date(day)} no share"


@dataclass(eq=False)
class Canary:
    """A challenger that answers for a share of the keys, always the same ones.

    Attributes:
        companion: The challenger.
        ramp: Its share.
        by: Columns of a key.
        trial: Name of the spec, or of a model without one: what tells its split from others.
        kept_as: Where its aborts are kept: those of a spec are the batch's.
        declared: Types of the columns as the spec's sources declare them.
    """

    companion: Companion
    ramp: Ramp
    by: tuple[str, ...]
    trial: str
    kept_as: str
    declared: Mapping[str, str] = field(default_factory=dict)

    @property
    def challenger(self) -> LoadedVersion | None:
        """Who answers for the keys of its arm today; none: the champion does."""
        return self.companion.serving if self.ramp.share > 0 else None

    def split_of(self, version: LoadedVersion) -> Split:
        """Return the split of a challenger's trial: that of the batch."""
        return _split(self.trial, version.identity.digest, self.by)

    def key(self, text: str, signature: Signature) -> Key:
        """Read a key that was sent along; raises `RequestInvalid`."""
        return read_key(text, self.by, inputs=signature.inputs_by_name, declared=self.declared)


@dataclass(eq=False)
class Arms:
    """The arms of one model.

    Attributes:
        slot: The model.
        canary: Who answers beside the champion.
        shadowing: Who scores along.
    """

    slot: "ModelSlot"
    canary: Canary | None = None
    shadowing: "Shadowing | None" = None

    @property
    def companions(self) -> list[Companion]:
        """All that is tried beside the champion."""
        own = [self.canary.companion] if self.canary is not None else []
        return [*own, *(self.shadowing.shadows if self.shadowing is not None else ())]

    @property
    def challenger(self) -> LoadedVersion | None:
        """The loaded challenger, even when it has no share today; requests may name it."""
        return self.canary.companion.serving if self.canary is not None else None

    @property
    def along(self) -> list[LoadedVersion]:
        """All loaded versions that are tried."""
        return [version for version in (companion.serving for companion in self.companions) if version is not None]

    def told(self, *, ready: bool = False) -> list[dict[str, str]]:
        """List the companions as the repository's index does.

        Args:
            ready: Whether to leave out those that are not loaded.
        """
        found = []
        for companion in self.companions:
            version = companion.serving
            if version is not None or not ready:
                number, state = (version.number, "READY") if version is not None else ("", "UNAVAILABLE")
                reason = f"{companion.arm}: {self._role(companion)}"
                found.append({"name": self.slot.name, "version": number, "state": state, "reason": reason})
        return found

    async def settle(self) -> None:
        """Wait until shadows have scored what was answered."""
        if self.shadowing is not None:
            await self.shadowing.settle()

    def close(self) -> None:
        """End the threads of all that is tried."""
        if self.shadowing is not None:
            self.shadowing.close()
        for companion in self.companions:
            if companion.version is not None:
                companion.version.lane.close()

    def _role(self, companion: Companion) -> str:
        if companion.serving is None:
            return companion.problem or "not loaded yet"
        if self.canary is not None and companion is self.canary.companion:
            return f"answers for {self.canary.ramp.share:.4g} of the keys"
        return "scores along, answers nothing"


def _date(day: int) -> dt.date:
    return dt.datetime.fromtimestamp(day * DAY_S, dt.UTC).date()


@functools.lru_cache(maxsize=256)
def _split(trial: str, digest: str, by: tuple[str, ...]) -> Split:
    return Split(salt_of(trial, digest), by)
