"""What became of a run's canary (`canary.json`), and which files of the run are to be published."""

import datetime as dt
from typing import Literal

from lockstep.errors import StepOutOfOrder
from lockstep.run.folder import CANARY, MANIFEST, RunFolder
from lockstep.run.identity import canonical_digest, file_sha256
from lockstep.run.manifest import Manifest
from lockstep.run.plan import CanaryPlan, Plan, Record
from lockstep.specs.trial_spec import Trial

FILES = "canary"
# What a row is stamped with that tells who made it.
Stamp = tuple[str, int, str, str]


class Breach(Record):
    """A guardrail that a challenger broke.

    Attributes:
        what: Name of the guardrail.
        limit, found: Figures; none where there is none.
        sentence: The same for a person.
    """

    what: str
    limit: float | None = None
    found: float | None = None
    sentence: str


class CanaryRecord(Record):
    """What a canary published of a partition.

    Attributes:
        outcome: `active`: some rows are the challenger's; `aborted`: none is, for the reasons given; `off`: none is of
            this run alone, since nothing can be said of the challenger.
        asked: Share of the rows by the ramp; `effective`: after guardrails and aborts.
        salt, by: Of the split.
        champion, challenger: Stamps of their rows; of an aborted challenger, which has none, without a run key.
        rows_champion, rows_challenger: Published rows by who made them.
        fell_back: Rows of the challenger's arm that the champion answers, because the challenger has no score.
        breaches: Guardrails that were broken on this day.
        reasons: Why no row is the challenger's, one sentence each.
        made_of: Hashes of the manifests of champion and challenger that the files were mixed from.
        manifest: The mixed files, in the form of the run's own manifest; none: that one counts.
    """

    run_key: str
    partition: dt.date
    outcome: Literal["active", "aborted", "off"]
    asked: float
    effective: float
    salt: str
    by: tuple[str, ...]
    champion: Stamp
    challenger: Stamp
    rows_champion: int
    rows_challenger: int = 0
    fell_back: int = 0
    breaches: tuple[Breach, ...] = ()
    reasons: tuple[str, ...] = ()
    made_of: tuple[str, ...] = ()
    manifest: Manifest | None = None

    @property
    def version(self) -> int:
        """Model version of the challenger."""
        return self.challenger[1]

    @property
    def share(self) -> float:
        """Share of the published rows that the challenger made (0..1)."""
        rows = self.rows_champion + self.rows_challenger
        return self.rows_challenger / rows if rows else 0.0

    @property
    def text(self) -> str:
        """Say it in a few words, for the ledger."""
        if self.outcome != "active":
            return f"canary: version {self.version} {self.outcome}"
        return f"canary: {100 * self.share:.1f} % of the rows by version {self.version}"


def canary_identity(canary: CanaryPlan | None, trial: Trial | None) -> str | None:
    """Return the digest of what a canary makes of a run, for the run's key; none without a canary.

    The guardrails count, and so does what the comparison that they judge is made of.
    """
    if canary is None or trial is None or trial.canary is None:
        return None
    judged = trial.model_dump(mode="json", include={"tolerance": True, "segments": True})
    rules = trial.canary.guardrails.model_dump(mode="json")
    return canonical_digest([canary.digest, canary.fraction, canary.by, canary.salt, rules, judged])


def read_canary(folder: RunFolder, plan: Plan, *, step: str) -> CanaryRecord | None:
    """Return what became of the run's canary; none when it was planned without one.

    Raises:
        StepOutOfOrder: It was planned with one, and nobody has decided about it yet.
    """
    if plan.canary is None:
        return None
    record = folder.read_record(CANARY, CanaryRecord, step=step)
    if record.run_key != plan.run_key:
        raise StepOutOfOrder(step, needs=f"a {CANARY} of this run", folder=str(folder.path))
    return record


def published_manifest(folder: RunFolder, *, step: str) -> Manifest:
    """Return the manifest of the files that are to be published: the run's own, or its canary's mixture.

    Rows in, quarantine and profile are the champion's in either.

    Raises:
        StepOutOfOrder: The run is not scored, or its canary is undecided.
    """
    record = read_canary(folder, folder.plan(step=step), step=step)
    if record is not None and record.manifest is not None:
        return record.manifest
    return folder.manifest(step=step)


def published_digest(folder: RunFolder, *, step: str) -> str:
    """Return the hash that an audit is bound to: of `manifest.json` and, if rows are mixed, of `canary.json` too.

    Raises:
        StepOutOfOrder: The run is not scored, or its canary is undecided.
    """
    record = read_canary(folder, folder.plan(step=step), step=step)
    folder.manifest(step=step)
    own = file_sha256(folder.file(MANIFEST))
    if record is None or record.manifest is None:
        return own
    return canonical_digest([own, file_sha256(folder.file(CANARY))])
