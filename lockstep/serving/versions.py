"""Loaded model versions: what each needs to answer, and how long it is needed."""

import asyncio
import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lockstep.run.plan import ModelIdentity
from lockstep.scoring.signature import Signature
from lockstep.serving.lanes import Described, Lane

if TYPE_CHECKING:
    from lockstep.serving.features.enricher import Enricher


@dataclass(eq=False)
class LoadedVersion:
    """One version of a registered model, ready to score.

    Attributes:
        identity: What it is.
        scorer: The model.
        lane: Where requests take turns at it.
        parameters: Defaults of the model's parameters, with which it always scores.
        enricher: Fills in what requests do not bring; the inputs of `identity` are then what they do.
        answering: Requests that it is answering.
        retired: Whether it takes no new request and ends after the last.
    """

    identity: ModelIdentity
    scorer: Described
    lane: Lane
    parameters: Mapping[str, Any] = field(default_factory=dict)
    enricher: "Enricher | None" = None
    answering: int = 0
    retired: bool = False
    _idle: asyncio.Event = field(default_factory=asyncio.Event)

    @functools.cached_property
    def number(self) -> str:
        """The version's number as text."""
        return str(self.identity.version)

    @property
    def signature(self) -> Signature:
        """What requests bring and get: the model's inputs and outputs, unless some of the inputs are filled in."""
        return self.scorer.signature if self.enricher is None else self.enricher.asked

    @functools.cached_property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """The headers of an answer that name the model, the same on all edges."""
        return (
            ("x-lockstep-model-name", self.identity.name.encode("ascii", "replace").decode()),
            ("x-lockstep-model-version", self.number),
            ("x-lockstep-model-digest", self.identity.digest),
        )

    @property
    def title(self) -> str:
        """What messages call it."""
        return f"{self.identity.name} version {self.identity.version}"

    def __enter__(self) -> "LoadedVersion":
        """Keep the version for as long as a request is answered, even when it is swapped for another meanwhile."""
        self.answering += 1
        return self

    def __exit__(self, *_: object) -> None:
        """Let it go; after the last request a retired version ends."""
        self.answering -= 1
        if self.retired and not self.answering:
            self._idle.set()

    async def retire(self) -> None:
        """Wait until its last request is answered, then give its memory back."""
        self.retired = True
        if self.answering:
            await self._idle.wait()
        self.lane.close()
