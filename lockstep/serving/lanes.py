"""What a loaded version is made of, wherever its model is: in this process, or in another one of the endpoint."""

from collections.abc import Callable
from typing import Protocol

from lockstep.scoring.certificate import Certificate
from lockstep.scoring.scorer import ScoredBatch
from lockstep.scoring.signature import Signature
from lockstep.serving.lane_limits import LaneLimits
from lockstep.serving.rows import Rows
from lockstep.serving.trace import NEVER
from lockstep.serving.work import Gone, Work


class Described(Protocol):
    """What is known of a model beside its scores."""

    @property
    def signature(self) -> Signature:
        """What it takes and gives."""

    @property
    def certificate(self) -> Certificate:
        """What the bits of its scores rest on."""


class Lane(Protocol):
    """Where requests take turns at a model; see `lockstep.serving.lane.ScoringLane`.

    Attributes:
        limits: Its bounds.
        on_rows: Told how many rows each micro-batch had.
    """

    limits: LaneLimits
    on_rows: Callable[[int], None] | None

    @property
    def waiting(self) -> int:
        """Requests in the queue of this process."""

    def stuck_s(self, now: float) -> float:
        """Return for how long the running micro-batch has been running beyond its prediction; 0 when none is."""

    def wait_s(self, now: float) -> float:
        """Return how long one more row would wait for its turn; 0 when nothing does."""

    def require_room(self) -> None:
        """Check, before a request is decoded, that one more row would have a chance; raises `Overloaded`."""

    async def score(
        self,
        rows: Rows,
        *,
        expires: float = NEVER,
        label: object = None,
        gone: Gone | None = None,
        alone: bool = False,
    ) -> tuple[ScoredBatch, Work]:
        """Score the rows of one request, together with those of others."""

    def close(self) -> None:
        """Let the running micro-batch finish and end."""
