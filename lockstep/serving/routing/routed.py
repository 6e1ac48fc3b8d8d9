"""From a request to its answer where a model has arms: find the arm, ask its version, let shadows score along.

One version answers a request whole. The champion does when the key is not known, when rows of one request are in
different arms, and when the challenger cannot score them: whatever a challenger does, it costs no client an answer.
"""

import contextlib
import dataclasses
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from lockstep.errors import LockstepError, RequestInvalid
from lockstep.scoring.backends import Arrays
from lockstep.serving.data_plane import DataPlane
from lockstep.serving.errors import RowsUnscorable
from lockstep.serving.routing.arms import CHAMPION, Arms, Canary
from lockstep.serving.routing.keys import Key, holds_key, positions
from lockstep.serving.routing.shadowing import Answered
from lockstep.serving.rows import Rows
from lockstep.serving.trace import Trace
from lockstep.serving.versions import LoadedVersion
from lockstep.serving.work import Gone

AnswerT = TypeVar("AnswerT")

# In the answer's headers, and in trailing metadata over gRPC.
ARM_HEADER = "x-lockstep-arm"
UNROUTED = "lockstep_unrouted_requests"

_log = logging.getLogger("lockstep.serving")


@dataclass(frozen=True)
class Decoded(Generic[AnswerT]):
    """A request, decoded for one version.

    Attributes:
        rows: Checked rows.
        encode: Writes the answer, given scores and arm.
    """

    rows: Rows
    encode: Callable[[Arrays, str], Awaitable[AnswerT]]


class Turn(Protocol[AnswerT]):
    """One request, as its protocol has it."""

    @property
    def trace(self) -> Trace:
        """What happened to it so far."""

    @property
    def key(self) -> str | None:
        """Its key, when it was sent along; raises `RequestInvalid` for one that cannot be read."""

    @property
    def gone(self) -> Gone | None:
        """Returns when the client went away, if the protocol says so."""

    @property
    def nbytes(self) -> int:
        """Size of its body."""

    async def decode(self, target: LoadedVersion) -> Decoded[AnswerT]:
        """Decode it for a version; raises what its protocol does."""

    def read(self, target: LoadedVersion) -> Rows:
        """Decode its rows alone, in any thread."""


async def answer_routed(plane: DataPlane, arms: Arms, turn: Turn[AnswerT]) -> AnswerT:
    """Answer a request for a model that has arms.

    Args:
        plane: Scores.
        arms: Of the model.
        turn: The request, which names no version.

    Raises:
        RequestInvalid: The request or its key is refused.
        LockstepError: What `DataPlane.answer` and the turn's protocol raise.
    """
    with contextlib.ExitStack() as held:
        champion = held.enter_context(arms.slot.find(None))
        canary, key, decoded, unrouted = arms.canary, None, None, ""
        sent = turn.key if canary is not None else None
        if canary is not None and sent is not None:
            key = canary.key(sent, champion.signature)
        challenger = canary.challenger if canary is not None else None
        if canary is not None and challenger is not None:
            held.enter_context(challenger)
            if key is None and holds_key(canary.by, champion.signature):
                _note(turn.trace, champion, CHAMPION)
                decoded = await turn.decode(champion)
            taken = _is_taken(canary, challenger, key=key, rows=decoded.rows if decoded else None, champion=champion)
            if taken:
                with contextlib.suppress(_Unfit):
                    return await _by_challenger(plane, arms, turn, challenger=challenger, arm=canary.companion.arm)
                unrouted = "fell_back"
            elif taken is None:
                unrouted = "no_key" if decoded is None else "mixed"
        answer = await _by_champion(plane, arms, turn, champion=champion, decoded=decoded)
    if unrouted:
        plane.metrics.add(UNROUTED, champion.identity.name, unrouted)
    return answer


class _Unfit(Exception):
    """The challenger has no answer."""


def _is_taken(
    canary: Canary, challenger: LoadedVersion, *, key: Key | None, rows: Rows | None, champion: LoadedVersion
) -> bool | None:
    """Whether a request is in the challenger's arm; none: it is in none, or in both."""
    split, share = canary.split_of(challenger), canary.ramp.share
    if key is not None:
        return split.position(key) < share
    if rows is None:
        return None
    found = {position < share for position in positions(rows, champion.signature, split)}
    return found.pop() if len(found) == 1 else (None if found else False)


async def _by_champion(
    plane: DataPlane, arms: Arms, turn: Turn[AnswerT], *, champion: LoadedVersion, decoded: Decoded[AnswerT] | None
) -> AnswerT:
    trace = turn.trace
    _note(trace, champion, CHAMPION)
    question = decoded or await turn.decode(champion)
    outputs = await plane.answer(champion, question.rows, trace=trace, gone=turn.gone)
    answer = await question.encode(outputs, CHAMPION)
    _offer(arms, turn, trace, target=champion, rows=question.rows, outputs=outputs)
    return answer


async def _by_challenger(
    plane: DataPlane, arms: Arms, turn: Turn[AnswerT], *, challenger: LoadedVersion, arm: str
) -> AnswerT:
    _note(turn.trace, challenger, arm)
    try:
        question = await turn.decode(challenger)
        # The log of inferences keeps it: should the champion answer in the end, it has a row of each.
        trace = dataclasses.replace(turn.trace)
        outputs = await plane.answer(challenger, question.rows, trace=trace, gone=turn.gone)
    except (RequestInvalid, RowsUnscorable) as error:
        raise _Unfit from error
    except LockstepError:
        raise
    except Exception as error:
        _log.error("request %s: %s failed with %s", turn.trace.request_id, challenger.title, type(error).__name__)
        raise _Unfit from error
    turn.trace.rows = trace.rows
    answer = await question.encode(outputs, arm)
    _offer(arms, turn, trace, target=challenger, rows=question.rows, outputs=outputs)
    return answer


def _note(trace: Trace, target: LoadedVersion, arm: str) -> None:
    trace.model, trace.version, trace.arm = target.identity.name, target.number, arm


def _offer(
    arms: Arms, turn: Turn[AnswerT], trace: Trace, *, target: LoadedVersion, rows: Rows, outputs: Arrays
) -> None:
    if arms.shadowing is not None:
        nbytes = turn.nbytes + rows.nbytes + sum(array.nbytes for array in outputs)
        arms.shadowing.offer(Answered(trace, target, rows, outputs, turn.read, nbytes))
