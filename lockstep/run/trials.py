"""The challengers of a run, as its folder has them: who takes part, who is out and why."""

import contextlib
from typing import Literal

from lockstep.errors import LockstepError, RunFolderUnusable
from lockstep.run.folder import CHALLENGERS, MANIFEST, PLAN, RunFolder
from lockstep.run.plan import ModelIdentity, Plan, Record

FAILURE = "failure.json"
Stage = Literal["plan", "score"]


class TrialFailure(Record):
    """Why a challenger has no result in a run (`failure.json` in its folder).

    Attributes:
        stage: Where it ended: nothing is scored of one that ended with the plan.
        reason: One line for a person, without data of rows.
        version, digest: The challenger, as far as it is known.
    """

    alias: str
    stage: Stage
    reason: str
    version: int = 0
    digest: str = ""


def on_trial(folder: RunFolder) -> list[str]:
    """Return the aliases of the challengers that a run scores: they are planned, and have not ended."""
    planned = sorted(str(path.parent.name) for path in folder.file(CHALLENGERS).glob(f"*/{PLAN}"))
    return [alias for alias in planned if not folder.challenger(alias).has(FAILURE)]


def trial_plans(folder: RunFolder) -> dict[str, Plan]:
    """Return the plans of the challengers that a run scores, by alias; one whose plan cannot be read is out."""
    found: dict[str, Plan] = {}
    for alias in on_trial(folder):
        try:
            found[alias] = folder.challenger(alias).plan(step="score")
        except LockstepError as error:
            end_trial(folder.challenger(alias), failure_of(alias, "score", reason_of(error), model=None))
    return found


def scored(folder: RunFolder) -> bool:
    """Whether nothing of a run is left to score, neither for the champion nor for a challenger."""
    return folder.has(MANIFEST) and all(folder.challenger(alias).has(MANIFEST) for alias in on_trial(folder))


def failure_of(alias: str, stage: Stage, reason: str, *, model: ModelIdentity | None) -> TrialFailure:
    """Describe why a challenger is out.

    Args:
        alias: The challenger.
        stage: Where it ended.
        reason: Why.
        model: What its alias means, if that is known.
    """
    return TrialFailure(
        alias=alias,
        stage=stage,
        reason=reason,
        version=model.version if model else 0,
        digest=model.digest if model else "",
    )


def end_trial(folder: RunFolder, failure: TrialFailure) -> None:
    """Record that a challenger is out; a folder that cannot be written shows itself in the champion's files.

    Args:
        folder: The challenger's own.
        failure: Why.
    """
    with contextlib.suppress(RunFolderUnusable):
        folder.write_json(FAILURE, failure)


def reason_of(error: BaseException) -> str:
    """Say in one line what ended a challenger: an error of ours by its message, another by its type alone.

    What a model's own code says may hold data of rows.
    """
    if isinstance(error, LockstepError):
        return str(error).splitlines()[0]
    return f"{type(error).__name__} was raised by the model or a library of it"
