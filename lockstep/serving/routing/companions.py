"""A version beside the champion: found by its alias, loaded as the champion is, and gone when its trial ends."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lockstep.errors import LockstepError
from lockstep.run.plan import Column, ModelIdentity
from lockstep.scoring.signature import arrow_type, fits
from lockstep.serving.repository import Source
from lockstep.serving.versions import LoadedVersion

_log = logging.getLogger("lockstep.serving")


def _never(_: ModelIdentity) -> str:
    return ""


@dataclass(frozen=True)
class Seen:
    """What a look found.

    Attributes:
        version: What is to serve; none: nothing is.
        problem: Why nothing is, or why it could not be found out; readers of the endpoint may know it.
        detail: The same for the log, with addresses and paths.
        refused: Digest of a version that could not be loaded, and is not tried again.
        failed: Whether a version could not be loaded.
    """

    version: LoadedVersion | None
    problem: str = ""
    detail: str = ""
    refused: str = ""
    failed: bool = False


@dataclass(eq=False)
class Companion:
    """One alias that is tried beside the champion; changed by the event loop alone.

    Attributes:
        alias: Followed.
        arm: What metrics and logs call it.
        source: Where its versions come from.
        idle: Says why it is not needed now; empty: it is.
        over: Says why the trial of a version has ended; empty: it has not.
        answers: Whether clients get its scores, which then have to be like the champion's.
        version: Loaded; none while it is not to serve.
        problem: Why it does not serve, or could not be looked up.
        refused: Digest that could not be loaded.
    """

    alias: str
    arm: str
    source: Source
    idle: Callable[[], str] = str
    over: Callable[[ModelIdentity], str] = _never
    answers: bool = False
    version: LoadedVersion | None = None
    problem: str = ""
    refused: str = ""

    @property
    def serving(self) -> LoadedVersion | None:
        """The loaded version, unless somebody has unloaded it."""
        return self.version if self.version is not None and not self.version.retired else None


def look(companion: Companion, *, champion: ModelIdentity | None, rolled_back: str | None = None) -> Seen:
    """Find out what a companion should serve, and load it; changes nothing, and may take long.

    Whatever goes wrong is said, not raised: the champion goes on.

    Args:
        companion: Who is looked up.
        champion: Version that answers; none: the model is not served now.
        rolled_back: Digest that somebody took back: it does not come back as a challenger.
    """
    unneeded = "the model is not loaded" if champion is None else companion.idle()
    if champion is None or unneeded:
        return Seen(None, unneeded)
    try:
        found = companion.source.resolve(None)
        reason = _reason_against(companion, found, champion=champion, rolled_back=rolled_back)
    except LockstepError as error:
        kept = companion.serving if error.retryable else None
        return Seen(kept, f"it cannot be had ({type(error).__name__})", str(error))
    present = companion.serving
    if reason:
        return Seen(None, reason)
    if present is not None and (present.identity.digest, present.identity.version) == (found.digest, found.version):
        return Seen(present)
    if found.digest == companion.refused:
        return Seen(None, companion.problem, refused=companion.refused)
    return _loaded(companion, found)


def _reason_against(
    companion: Companion, found: ModelIdentity, *, champion: ModelIdentity, rolled_back: str | None
) -> str:
    if found.digest == champion.digest:
        return f"version {found.version} is the champion: its trial is over"
    if found.digest == rolled_back:
        return f"version {found.version} was rolled back"
    if companion.answers and (lacking := _lacking(found.outputs, champion.outputs)):
        return f"version {found.version} cannot stand for the champion: it has no output {lacking} of the same type"
    return companion.over(found)


def _lacking(got: Sequence[Column], wanted: Sequence[Column]) -> str:
    """Name the first output of the champion that a challenger does not have; it may be narrower, and have others."""
    by_name = {column.name: column for column in got}
    for column in wanted:
        own = by_name.get(column.name)
        if own is None or own.shape != column.shape or not fits(arrow_type(own), arrow_type(column)):
            return repr(column.name)
    return ""


def _loaded(companion: Companion, identity: ModelIdentity) -> Seen:
    try:
        return Seen(companion.source.load(identity))
    except Exception as error:  # noqa: BLE001 - whatever a challenger does, the champion goes on
        problem = f"version {identity.version} cannot be loaded ({type(error).__name__})"
        if isinstance(error, LockstepError):
            refused = "" if error.retryable else identity.digest
            return Seen(None, problem, str(error), refused, failed=True)
        _log.exception("model %s version %d cannot be loaded", identity.name, identity.version)
        return Seen(None, problem, refused=identity.digest, failed=True)
