"""Plan: freeze what a run is (model, input, spec, code) before anything is computed."""

import datetime as dt
import subprocess
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import lockstep
from lockstep.data.snapshot import take_snapshot
from lockstep.registry.resolve import resolve_model
from lockstep.run.folder import AUDIT, CLAIM, PLAN, RunFolder
from lockstep.run.identity import input_digest, run_key, spec_hash
from lockstep.run.plan import Claim, ModelIdentity, Plan, SourceFile
from lockstep.specs.loading import SPEC_FILE, LoadedSpec
from lockstep.specs.settings import Settings
from lockstep.steps.canary_plan import plan_canary
from lockstep.steps.model_checks import check_environment, check_outputs, check_precision
from lockstep.steps.request import warehouse_of
from lockstep.steps.spec_files import check_files
from lockstep.steps.trial_plan import TrialPlanner, Versions

SPEC_FOLDER = "spec"


@dataclass(frozen=True)
class Pinned:
    """Models that were chosen before.

    Attributes:
        version: Of the champion; none: the spec's alias is resolved.
        digest: What the version's artifact must have; none: whatever it has.
        challengers: Version of each alias on trial; others are resolved.
    """

    version: int | None = None
    digest: str | None = None
    challengers: Versions = field(default_factory=dict)


@dataclass(frozen=True)
class PlanOutcome:
    """A planned run. Without a claim it was a dry run, and nothing was written."""

    folder: RunFolder
    plan: Plan
    claim: Claim | None
    live_run_key: str | None


def plan_run(
    loaded: LoadedSpec,
    partition: dt.date,
    settings: Settings,
    *,
    pinned: Pinned = Pinned(),
    dry_run: bool = False,
) -> PlanOutcome:
    """Freeze a run in its folder and claim the right to publish it.

    The same spec, partition, model and input give the same folder; planning again only renews the claim.

    Args:
        loaded: The spec.
        partition: Day to score.
        settings: Where things are.
        pinned: What was chosen before; all else is resolved now.
        dry_run: Resolve and check all, write nothing.

    Raises:
        SpecError: A file of the spec is missing or wrong, or a shadow table is a table of another spec.
        RegistryError: The model cannot be had.
        InputError: The input cannot be scored.
        PrecisionRefused: Reduced precision moves the scores too far.
        PublishError: The warehouse cannot be opened.
        RunFolderUnusable: The run folder cannot be written.
    """
    spec, texts = loaded.spec, checked_texts(loaded)
    model = _chosen(loaded, settings, pinned)
    sources = take_snapshot(spec, partition, settings.data_root)
    hashed = spec_hash(spec, {name: text for name, text in texts.items() if name not in spec.reporting.values()})
    data = input_digest(_identity(f) for f in sources)
    key_of = partial(run_key, spec=hashed, partition=partition, model=model.digest, data=data)
    canary, key = plan_canary(spec, partition, settings, champion=model, key_of=key_of, versions=pinned.challengers)
    folder = RunFolder.of(settings.runs_root, spec=spec.name, partition=partition, run_key=key)
    plan = Plan(
        run_key=key,
        partition=partition,
        spec=spec,
        spec_hash=hashed,
        model=model,
        input_digest=data,
        sources=sources,
        data_root=str(settings.data_root),
        warehouse=settings.warehouse(spec.publish.warehouse),
        cache_root=str(settings.cache_root),
        code_version=code_version(settings.project_root),
        planned_at=dt.datetime.now(dt.UTC),
        environment=check_environment(spec, model, settings.cache_root),
        precision=None if folder.has(PLAN) else check_precision(spec, model, settings, partition=partition),
        canary=canary,
    )
    warehouse = warehouse_of(plan, settings)
    live = warehouse.live(spec.publish.table, partition)
    if dry_run:
        return PlanOutcome(folder, plan, None, live.run_key if live else None)
    plan = freeze(folder, plan, loaded=loaded, texts=texts)
    claim = _claimed(TrialPlanner(folder, plan, settings, warehouse, pinned.challengers))
    return PlanOutcome(folder, plan, claim, live.run_key if live else None)


def _chosen(loaded: LoadedSpec, settings: Settings, pinned: Pinned) -> ModelIdentity:
    spec, wanted = loaded.spec, loaded.spec.model
    if spec.online is not None:
        settings.online_store(spec.online.store)
    model = resolve_model(
        settings.tracking_uri, wanted.name, alias=wanted.alias, version=pinned.version, digest=pinned.digest
    )
    check_outputs(spec.output.columns, model)
    return model


def checked_texts(loaded: LoadedSpec) -> dict[str, str]:
    """Return what `spec_texts` does, of files that are what they have to be.

    Raises:
        SpecError: One is not.
    """
    check_files(loaded)
    return spec_texts(loaded)


def spec_texts(loaded: LoadedSpec) -> dict[str, str]:
    """Return the text of every file that the spec names, by relative path."""
    spec = loaded.spec
    query = [] if spec.input.query is None else [spec.input.query]
    names = [*query, spec.checks.gate, spec.checks.audit, *spec.reporting.values()]
    return {name: loaded.file(name).read_text(encoding="utf-8") for name in names}


def _identity(file: SourceFile) -> tuple[str | int, ...]:
    version = (file.version,) if file.version else ()
    return (file.view, file.path, file.size_bytes, file.mtime_ns, *version)


def freeze(folder: RunFolder, plan: Plan, *, loaded: LoadedSpec, texts: dict[str, str]) -> Plan:
    """Write the plan and copies of the spec's files, unless an earlier plan of this run did; return what is there."""
    folder.folder()
    # Reporting queries are no part of the run's identity, so a run that is planned again takes them as they are now.
    for name, text in texts.items():
        if name in plan.spec.reporting.values() or not folder.has(PLAN):
            folder.write_text(f"{SPEC_FOLDER}/{name}", text)
    if folder.has(PLAN):
        return folder.plan(step="plan")
    folder.write_text(f"{SPEC_FOLDER}/{SPEC_FILE}", (loaded.folder / SPEC_FILE).read_text(encoding="utf-8"))
    folder.write_json(PLAN, plan)
    return plan


def _claimed(trial: TrialPlanner) -> Claim:
    """Claim the right to publish, and plan the challengers; of a run that is live nothing is scored again."""
    plan, folder = trial.champion, trial.folder
    table, now = plan.spec.publish.table, dt.datetime.now(dt.UTC)
    claim = trial.warehouse.claim(table, partition=plan.partition, run_key=plan.run_key, now=now)
    folder.write_json(CLAIM, claim)
    if not (claim.already_live and folder.has(AUDIT)):
        trial.plan()
    return claim


def code_version(project_root: Path) -> str:
    """Return the version of Lockstep, with the commit when the project folder is a git checkout."""
    try:
        found = subprocess.run(
            ["git", "-C", str(project_root), "describe", "--always", "--dirty"],
            capture_output=True,
            text=True,
            check=False,
            timeout=5,
        )
    except (OSError, subprocess.TimeoutExpired):
        return lockstep.__version__
    commit = found.stdout.strip()
    return f"{lockstep.__version__}+{commit}" if found.returncode == 0 and commit else lockstep.__version__
