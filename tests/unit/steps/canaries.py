"""Runs with a challenger, as the steps before the canary leave them: both models really score, and are compared."""

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from lockstep.run.comparison import Comparison
from lockstep.run.folder import COMPARISON, INPUT, PLAN, RunFolder
from lockstep.run.plan import CanaryPlan
from lockstep.scoring.arms import salt_of
from lockstep.specs.loading import LoadedSpec
from tests.unit.steps.runs import DAY, Score, km_risk, make_model, make_spec, parcels, plan_run, score_run

ALIAS = "challenger"
CHAMPION, CHALLENGER = 1, 2


def later_risk(batch: pa.RecordBatch) -> np.ndarray:
    """A challenger that is nearly the champion."""
    return km_risk(batch) * 0.995


def trial(fraction: float = 0.5, *, by: tuple[str, ...] = (), **guardrails: Any) -> dict[str, Any]:
    """The `trial:` section of a spec."""
    canary = {"challenger": ALIAS, "ramp": {DAY: fraction}, "by": list(by), "guardrails": guardrails}
    return {"challengers": [{"alias": ALIAS}], "tolerance": 0.01, "canary": canary}


def trial_spec(root: Path, fraction: float = 0.5, *, by: tuple[str, ...] = (), **changes: Any) -> LoadedSpec:
    """The little spec with a canary; `guardrails` and keys of the spec by name."""
    guardrails = changes.pop("guardrails", {})
    return make_spec(root, **{"trial": trial(fraction, by=by, **guardrails), **changes})


def make_trial(
    root: Path,
    *,
    fraction: float = 0.5,
    by: tuple[str, ...] = (),
    table: pa.Table | None = None,
    champion: Score = km_risk,
    challenger: Score | None = later_risk,
    **changes: Any,
) -> RunFolder:
    """Make a run whose rows are scored twice and compared; no challenger: it failed."""
    loaded, rows = trial_spec(root, fraction, by=by, **changes), parcels() if table is None else table
    models = [make_model(root, loaded, version=n, training=parcels(500), score=km_risk) for n in (CHAMPION, CHALLENGER)]
    folder = plan_run(root, rows, loaded, models[0], data=f"data {fraction} {by} {changes}")
    digest = models[1].digest
    columns = by or tuple(name for name in loaded.spec.key if name != loaded.spec.partition.column)
    facts = {"alias": ALIAS, "version": CHALLENGER, "digest": digest, "by": columns}
    canary = CanaryPlan(**facts, fraction=fraction, salt=salt_of(loaded.spec.name, digest))
    plan = folder.plan(step="test").model_copy(update={"canary": canary})
    folder.write_json(PLAN, plan)
    score_run(folder, champion)
    other = folder.challenger(ALIAS)
    theirs = plan.model_copy(update={"model": models[1], "run_key": f"c{plan.run_key[1:]}", "canary": None})
    other.write_json(PLAN, theirs)
    wanted = folder.scoring_input(step="test")
    units = [
        unit.model_copy(
            update={"pieces": tuple(p.model_copy(update={"path": str(folder.file(p.path))}) for p in unit.pieces)}
        )
        for unit in wanted.units
    ]
    other.write_json(INPUT, wanted.model_copy(update={"units": tuple(units)}))
    if challenger is not None:
        score_run(other, challenger)
    compare(folder, failure="" if challenger else "it was out of memory")
    return folder


def compare(folder: RunFolder, **changes: Any) -> Comparison:
    """Write the comparison of a run's two results; `changes` replace what was found."""
    plan, other = folder.plan(step="test"), folder.challenger(ALIAS)
    theirs, failed = other.plan(step="test"), bool(changes.get("failure"))
    name, key = plan.spec.output.column, list(plan.spec.key)
    both = staged(folder).merge(staged(folder if failed else other), on=key, suffixes=("", "_theirs"))
    both = both.dropna(subset=[name, f"{name}_theirs"])
    apart = both[f"{name}_theirs"] - both[name]
    manifest = folder.manifest(step="test")
    facts: Mapping[str, Any] = {
        "run_key": theirs.run_key,
        "partition": plan.partition,
        "alias": ALIAS,
        "version": theirs.model.version,
        "digest": theirs.model.digest,
        "champion_version": plan.model.version,
        "champion_digest": plan.model.digest,
        "rows_in": manifest.rows_in,
        "compared": len(both),
        "champion_bad": manifest.rows_quarantined,
        "challenger_bad": 0 if failed else other.manifest(step="test").rows_quarantined,
        "tolerance": 0.01,
        "agreement": float((apart.abs() <= 0.01).mean()) if len(both) else None,
        "mean_difference": float(apart.mean()) if len(both) else None,
        "max_difference": float(apart.abs().max()) if len(both) else None,
        "psi": 0.0,
    }
    found = Comparison.model_validate({**facts, **changes})
    other.write_json(COMPARISON, found)
    return found


def staged(folder: RunFolder, manifest: Any = None) -> pd.DataFrame:
    """The staged rows of a run, or of another manifest in its folder."""
    plan, units = folder.plan(step="test"), (manifest or folder.manifest(step="test")).units
    tables = [pq.ParquetFile(folder.file(unit.staged)).read().to_pandas() for unit in units]
    return pd.concat(tables) if tables else pd.DataFrame(columns=[*plan.spec.carried, *plan.spec.output.staged])


def day(number: int) -> dt.date:
    """The day so many days after the first."""
    return DAY + dt.timedelta(days=number)
