"""A check-up: plan a day in a scratch folder, score a sample of it, and compare; part after part.

What is wrong in one part does not keep the others from being looked at, unless they need it.
"""

import datetime as dt
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from lockstep.checkup.comparing import compare_with_endpoint, compare_with_mlflow
from lockstep.checkup.findings import CHECKS_FAILED, Finding
from lockstep.checkup.sampling import Scored, score_sample
from lockstep.checkup.suites import check_audit, check_gate
from lockstep.errors import LockstepError
from lockstep.registry.resolve import resolve_model
from lockstep.run.folder import RunFolder
from lockstep.run.plan import Plan
from lockstep.run.profiles import MASTER, load_profiles, profile_folders, profile_names
from lockstep.specs.loading import LoadedSpec
from lockstep.specs.settings import Settings
from lockstep.steps.materialize import materialize
from lockstep.steps.model_checks import check_environment, check_outputs
from lockstep.steps.plan import PlanOutcome, freeze, plan_run, spec_texts
from lockstep.steps.spec_files import check_files

LOCAL = "local["


@dataclass
class Checkup:
    """One check-up.

    Attributes:
        loaded: The spec.
        day: Which day is looked at.
        settings: Where things are; run folders are in `scratch` instead.
        scratch: Folder of its own.
        rows: Rows of the sample.
        endpoint: Whether an endpoint is started and asked.
    """

    loaded: LoadedSpec
    day: dt.date
    settings: Settings
    scratch: Path
    rows: int = 2_000
    endpoint: bool = True
    _outcome: PlanOutcome | None = field(default=None, init=False)
    _sample: Scored | None = field(default=None, init=False)

    def parts(self) -> Iterator[tuple[str, Callable[[], Finding]]]:
        """Give the parts in order, each by name and what looks at it; a part that cannot be looked at is left out."""
        yield "spec", self._guarded("spec", self._spec)
        yield "model", self._guarded("model", self._model)
        yield "input", self._guarded("input", self._input)
        if self._outcome is None:
            return
        yield "gate", self._guarded("gate", lambda: check_gate(self._folder))
        yield "scores", self._guarded("scores", self._scores)
        if self._sample is None:
            return
        sample, plan, where = self._sample, self._plan, self._where
        yield "mlflow", self._guarded("mlflow", lambda: compare_with_mlflow(sample, plan, where))
        yield "audit", self._guarded("audit", lambda: check_audit(self._folder, sample, scratch=self.scratch))
        if self.endpoint:
            log = self.scratch / "endpoint.log"
            asked = self._guarded("endpoint", lambda: compare_with_endpoint(sample, plan, self.settings, log=log))
            yield "endpoint", asked
        yield "speed", self._guarded("speed", self._speed)

    @staticmethod
    def _guarded(part: str, look: Callable[[], Finding]) -> Callable[[], Finding]:
        def looked() -> Finding:
            try:
                return look()
            except LockstepError as error:
                return Finding.of_error(part, error)

        return looked

    @property
    def _where(self) -> Settings:
        return replace(self.settings, runs_root=self.scratch / "runs")

    @property
    def _plan(self) -> Plan:
        if self._outcome is None:
            raise ValueError("nothing is planned")
        return self._outcome.plan

    @property
    def _folder(self) -> RunFolder:
        if self._outcome is None:
            raise ValueError("nothing is planned")
        return self._outcome.folder

    def _spec(self) -> Finding:
        check_files(self.loaded)
        spec = self.loaded.spec
        return Finding("spec", "ok", f"{self.loaded.folder}: day {spec.partition.column}, key {', '.join(spec.key)}")

    def _model(self) -> Finding:
        spec, where = self.loaded.spec, self.settings
        model = resolve_model(where.tracking_uri, spec.model.name, alias=spec.model.alias, cache_root=where.cache_root)
        check_outputs(spec.output.columns, model)
        differ = check_environment(spec, model, where.cache_root)
        text = f"{model.name} version {model.version} ({spec.model.alias}), digest {model.digest[:12]}"
        if differ:
            to_do = "install these versions in the data environment, or log the model with those that are there"
            return Finding("model", "warning", f"{text}; logged with other libraries: {'; '.join(differ)}", to_do)
        return Finding("model", "ok", text, facts={"version": model.version, "digest": model.digest})

    def _input(self) -> Finding:
        """Plan the day, which also looks at the warehouse, and prepare its rows."""
        outcome = plan_run(self.loaded, self.day, self._where, dry_run=True)
        freeze(outcome.folder, outcome.plan, loaded=self.loaded, texts=spec_texts(self.loaded))
        facts = materialize(outcome.folder, self._where)
        self._outcome = outcome
        files = len(outcome.plan.sources)
        live = f"live now: run {outcome.live_run_key}" if outcome.live_run_key else "nothing of that day is live yet"
        text = f"{facts['rows']:,} rows of {self.day} in {files} file{'' if files == 1 else 's'} fit the model; {live}"
        return Finding("input", "ok", text, facts={"rows": facts["rows"], "partition": self.day.isoformat()})

    def _scores(self) -> Finding:
        if not self._folder.scoring_input(step="check").rows:
            return Finding("scores", "skipped", "the day has no rows")
        sample = score_sample(self._folder, self._where, most=self.rows)
        bad, rows = len(sample.reasons), sample.rows.num_rows + len(sample.unfit)
        self._sample = sample if bad < rows else None
        facts = {"rows": rows, "without_score": bad}
        text = f"{rows - bad:,} of {rows:,} sampled rows have a score, by {sample.scorer.certificate.backend}"
        if not bad:
            return Finding("scores", "ok", text, facts=facts)
        told = "; ".join(sorted(set(sample.reasons))[:3])
        limit = self.loaded.spec.limits.max_quarantined_fraction
        to_do = (
            "mend these rows, raise limits.max_quarantined_fraction, or name a column for the reason (output.errors)"
        )
        if bad / rows > limit:
            text = f"{text}: more without one than limits.max_quarantined_fraction {limit:g} ({told})"
            return Finding("scores", "problem", text, to_do, CHECKS_FAILED, facts)
        return Finding("scores", "warning", f"{text} ({told})", to_do, facts=facts)

    def _speed(self) -> Finding:
        if self._sample is None:
            raise ValueError("nothing is scored")
        rate = self._sample.rows.num_rows / max(self._sample.seconds, 1e-6)
        cores = self._cores()
        alone_s = self._sample.total / rate
        facts = {"rows_per_s": round(rate, 1), "cores": cores, "model_s": round(alone_s, 3)}
        text = (
            f"{rate:,.0f} rows/s on one core; the model's share of all {self._sample.total:,} rows: {_seconds(alone_s)}"
        )
        if cores is None:
            return Finding(
                "speed", "ok", f"{text} divided by the cores of the cluster, besides Spark's start", facts=facts
            )
        text = f"{text}, on {cores} cores {_seconds(alone_s / cores)}, besides Spark's start"
        limit = self.loaded.spec.limits.timeout_s
        if alone_s / cores > limit:
            to_do = "use a cluster (docs/cluster.md), a GPU, or raise limits.timeout_s"
            return Finding("speed", "warning", f"{text}: longer than limits.timeout_s {limit:,} s", to_do, facts=facts)
        return Finding("speed", "ok", text, facts=facts)

    def _cores(self) -> int | None:
        """Return the cores of a profile on this machine; none: it is a cluster's."""
        where = self.settings
        found = load_profiles(profile_names(where.spark_profile), *profile_folders(where.project_root))
        master = found[MASTER].value
        if not master.startswith(LOCAL):
            return None
        count = master.removeprefix(LOCAL).partition("]")[0].partition(",")[0]
        return int(count) if count.isdigit() else os.cpu_count()


def _seconds(seconds: float) -> str:
    if seconds < 1:
        return "less than a second"
    if seconds < 60:
        return f"{seconds:.2g} s"
    return f"{seconds / 60:.2g} min" if seconds < 3600 else f"{seconds / 3600:.2g} h"
