"""What a run folder tells, finished or not: the report's only input."""

import contextlib
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel

from lockstep.errors import StepOutOfOrder
from lockstep.publish.contract import Publication
from lockstep.quality.results import CheckResult
from lockstep.quality.verdict import Verdict
from lockstep.run.canary import CanaryRecord
from lockstep.run.comparison import Comparison
from lockstep.run.folder import (
    AUDIT,
    CANARY,
    CHALLENGERS,
    CLAIM,
    COMPARISON,
    GATE,
    INPUT,
    MANIFEST,
    PUBLICATION,
    RunFolder,
)
from lockstep.run.manifest import Manifest
from lockstep.run.plan import Claim, Plan, ScoringInput

RecordT = TypeVar("RecordT", bound=BaseModel)
STEP = "report"


@dataclass(frozen=True)
class RunFacts:
    """The records of a run; what it did not reach is `None`."""

    plan: Plan
    claim: Claim | None
    scoring_input: ScoringInput | None
    gate: Verdict | None
    manifest: Manifest | None
    audit: Verdict | None
    publication: Publication | None
    timings: tuple[dict[str, Any], ...]
    comparisons: tuple[Comparison, ...] = ()
    canary: CanaryRecord | None = None


@dataclass(frozen=True)
class Headline:
    """The outcome in a few words; `tone` is ok, warn or bad."""

    tone: str
    word: str
    sentence: str


def read_facts(folder: RunFolder) -> RunFacts:
    """Read all that a run folder has.

    Raises:
        StepOutOfOrder: There is no plan.
    """

    def read(name: str, record: type[RecordT]) -> RecordT | None:
        return folder.read_record(name, record, step=STEP) if folder.has(name) else None

    return RunFacts(
        plan=folder.plan(step=STEP),
        claim=read(CLAIM, Claim),
        scoring_input=read(INPUT, ScoringInput),
        gate=read(GATE, Verdict),
        manifest=read(MANIFEST, Manifest),
        audit=read(AUDIT, Verdict),
        publication=read(PUBLICATION, Publication),
        timings=tuple(timing for timing in folder.timings() if timing["step"] != STEP),
        comparisons=read_comparisons(folder),
        canary=read(CANARY, CanaryRecord),
    )


def read_comparisons(folder: RunFolder) -> tuple[Comparison, ...]:
    """Return the comparisons of a run's challengers, by alias; one of another version of Lockstep is left out."""
    found = []
    for alias in sorted(path.parent.name for path in folder.file(CHALLENGERS).glob(f"*/{COMPARISON}")):
        with contextlib.suppress(StepOutOfOrder):
            found.append(folder.challenger(alias).read_record(COMPARISON, Comparison, step=STEP))
    return tuple(found)


def failures(facts: RunFacts) -> list[CheckResult]:
    """Return the critical failures of gate and audit."""
    return [result for result in _results(facts) if not result.success and result.severity == "critical"]


def warnings(facts: RunFacts) -> list[CheckResult]:
    """Return the warnings of gate and audit."""
    return [result for result in _results(facts) if not result.success and result.severity == "warning"]


def _results(facts: RunFacts) -> list[CheckResult]:
    return [result for verdict in (facts.gate, facts.audit) if verdict for result in verdict.results]


def headline(facts: RunFacts) -> Headline:
    """Say how the run ended."""
    for verdict in (facts.gate, facts.audit):
        if verdict is not None and not verdict.passed:
            count = len([r for r in failures(facts) if r in verdict.results])
            checks = f"{count} critical check{'s' if count > 1 else ''} failed"
            sentence = f"{checks}. Nothing of this run was published; what was live before stays live."
            return Headline("bad", f"Stopped by the {verdict.stage}", sentence)
    done = facts.publication
    if done is None:
        reached = facts.timings[-1]["step"] if facts.timings else "plan"
        return Headline(
            "warn", "Not published", f"The last finished step is “{reached}”. What was live before stays live."
        )
    model = f"{done.model_name} version {done.model_version}"
    where = f"{done.rows:,} row{'s' if done.rows != 1 else ''} of {done.table} were scored by {model}"
    since = f"{done.published_at:%d %B %Y, %H:%M} UTC".lstrip("0")
    count = len(warnings(facts))
    if count:
        return Headline("warn", "Published, with warnings", f"{where} and have been live since {since}.")
    return Headline("ok", "Published", f"{where} and have been live since {since}.")
