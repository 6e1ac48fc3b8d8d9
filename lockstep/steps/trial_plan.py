"""The challengers of a run, frozen with it: each alias is resolved once, into a plan of its own."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from lockstep.errors import ModelNotFound, PublishError, RegistryUnavailable
from lockstep.publish.contract import Warehouse
from lockstep.registry.resolve import resolve_model
from lockstep.run.comparison import Comparison
from lockstep.run.folder import CLAIM, COMPARISON, PLAN, RunFolder
from lockstep.run.identity import run_key
from lockstep.run.plan import ModelIdentity, Plan
from lockstep.run.trials import FAILURE, TrialFailure, end_trial, failure_of, reason_of
from lockstep.scoring.attempts import QUARANTINE, STAGING, unfinished_attempts
from lockstep.scoring.challenger import DEATHS
from lockstep.specs.settings import Settings
from lockstep.specs.trial_spec import Challenger
from lockstep.steps.model_checks import check_environment, check_outputs, check_precision

# Version of each pinned alias; none: the alias did not exist.
Versions = Mapping[str, int | None]
ITSELF = "it is the champion itself: there is nothing to compare"


@dataclass(frozen=True)
class TrialPlanner:
    """Plans the challengers of a run.

    Attributes:
        folder: The planned run.
        champion: Its plan.
        settings: Where things are.
        warehouse: Where the shadow tables are.
        versions: Versions that were chosen before; other aliases are resolved now.
    """

    folder: RunFolder
    champion: Plan
    settings: Settings
    warehouse: Warehouse
    versions: Versions

    def plan(self) -> None:
        """Write plan and claim of each challenger into its folder inside the run's, or note there why it has none.

        Planning again keeps a challenger with all that it has scored, unless its alias has moved: then nothing of the
        old version stays. One that had ended gets another try.
        """
        trial = self.champion.spec.trial
        for challenger in trial.challengers if trial else ():
            self._plan_one(challenger, self.folder.challenger(challenger.alias))

    def _plan_one(self, challenger: Challenger, own: RunFolder) -> None:
        model: ModelIdentity | None = None
        try:
            model = self._resolved(challenger.alias, own)
            reason = self._unfit(model)
            if reason is not None or model is None:
                _clear(own)
            else:
                self._freeze(own, model)
                self._claim(own, challenger)
        except Exception as error:  # noqa: BLE001 - a trial never hurts the run
            reason = reason_of(error)
        if reason is not None:
            failure = failure_of(challenger.alias, "plan", reason, model=model)
            end_trial(own, failure)
            own.write_json(COMPARISON, no_comparison(self.champion, failure, rows_in=0))

    def _resolved(self, alias: str, own: RunFolder) -> ModelIdentity | None:
        """Return the model that an alias means for this run; none: the alias does not exist."""
        if alias in self.versions and self.versions[alias] is None:
            return None
        uri, name = self.settings.tracking_uri, self.champion.model.name
        try:
            found = resolve_model(uri, name, alias=alias, version=self.versions.get(alias))
        except ModelNotFound:
            return None
        except RegistryUnavailable:
            if own.has(PLAN):
                return own.plan(step="plan").model
            raise
        return found.model_copy(update={"alias": alias})

    def _unfit(self, model: ModelIdentity | None) -> str | None:
        if model is None:
            return "the alias does not exist"
        return ITSELF if model.digest == self.champion.model.digest else None

    def _freeze(self, own: RunFolder, model: ModelIdentity) -> None:
        champion, spec = self.champion, self.champion.spec
        before = own.plan(step="plan").model if own.has(PLAN) else None
        if before is not None and (before.version, before.digest) == (model.version, model.digest):
            if own.has(FAILURE):
                _try_again(own)
            return
        _clear(own)
        check_outputs(spec.output.columns, model)
        facts = {
            "run_key": run_key(
                spec=champion.spec_hash, partition=champion.partition, model=model.digest, data=champion.input_digest
            ),
            "model": model,
            "planned_at": dt.datetime.now(dt.UTC),
            "environment": check_environment(spec, model, self.settings.cache_root),
            "precision": check_precision(spec, model, self.settings, partition=champion.partition),
            "canary": None,  # of the champion's run; a shadow table holds the challenger's rows alone
        }
        own.write_json(PLAN, champion.model_copy(update=facts))

    def _claim(self, own: RunFolder, challenger: Challenger) -> None:
        table, plan = challenger.shadow_table(self.champion.spec.publish.table), own.plan(step="plan")
        live = self.warehouse.live(table, plan.partition)
        if live is not None and live.spec != plan.spec.name:
            raise PublishError(f"table {table} has rows of spec {live.spec}; name another with 'table'")
        now = dt.datetime.now(dt.UTC)
        own.write_json(CLAIM, self.warehouse.claim(table, partition=plan.partition, run_key=plan.run_key, now=now))


def no_comparison(champion: Plan, failure: TrialFailure, *, rows_in: int) -> Comparison:
    """Return the comparison of a challenger that has no result: why that is so.

    Args:
        champion: Plan of the run.
        failure: Why.
        rows_in: Input rows, if they are known.
    """
    return Comparison(
        run_key=champion.run_key,
        partition=champion.partition,
        alias=failure.alias,
        version=failure.version,
        digest=failure.digest,
        champion_version=champion.model.version,
        champion_digest=champion.model.digest,
        failure=failure.reason,
        rows_in=rows_in,
        tolerance=champion.spec.trial.tolerance if champion.spec.trial else 0.0,
    )


def _try_again(own: RunFolder) -> None:
    """Forget why a challenger ended, and the attempts that died; units that it has finished stay."""
    for name in (FAILURE, COMPARISON, DEATHS):
        own.remove(name)
    for attempt in unfinished_attempts(own):
        for kind in (STAGING, QUARANTINE):
            own.remove(f"{kind}/{attempt}.parquet")


def _clear(own: RunFolder) -> None:
    """Remove all of a challenger; first its plan, without which nobody takes the rest for one."""
    own.remove(PLAN)
    own.remove("")
