"""The batch's side of parity: real rows, scored by a registered model through real Spark, as a nightly run does."""

import datetime as dt
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from benchmarks.job import environment
from benchmarks.promises.flight_models import ALIAS, INPUTS, SCORE
from benchmarks.promises.forms import Scores
from lockstep.run.plan import ModelIdentity
from lockstep.serving.batch_scores import read_batch
from lockstep.specs.loading import find_spec
from lockstep.specs.settings import Settings
from lockstep.steps.materialize import materialize, score
from lockstep.steps.plan import plan_run

DAY = dt.date(2013, 12, 31)
DAY_COLUMN, NUMBER = "scored_day", "number"
FILES = 8
TIMEOUT_S = 3600
# A suite lists at least one check; what parity is about are scores.
SUITE = """description: Parity compares scores.
expectations:
  - expectation: expect_table_row_count_to_be_between
    kwargs: {min_value: 1}
    why: without rows there is nothing to compare
"""


@dataclass(frozen=True)
class Batch:
    """What the batch made of the rows.

    Attributes:
        model: That scored them.
        rows: Inputs of the model, in the order of `scores`.
        scores: `(rows,) float64`.
        devices: Where they were scored.
    """

    model: ModelIdentity
    rows: pa.Table
    scores: Scores
    devices: tuple[str, ...]


def variables(home: Path) -> dict[str, str]:
    """Return the environment of everything that belongs to the installation in a folder."""
    own = {
        "LOCKSTEP_HOME": str(home),
        "LOCKSTEP_MODELS": str(home / "models"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{home}/mlflow/mlflow.db",
        "SPARK_LOCAL_DIRS": str(home / "spark"),
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    }
    found = environment(own)
    return {name: value for name, value in found.items() if os.environ.get(name) != value}


def write_spec(backend: str, model: str, rows: pa.Table, *, home: Path) -> None:
    """Write the rows as a table of several files, and the spec of a run over all of it."""
    table = home / "data" / backend
    table.mkdir(parents=True)
    inputs = rows.select(INPUTS[backend]).append_column(NUMBER, pa.array(np.arange(rows.num_rows)))
    step = -(-rows.num_rows // FILES)
    for start in range(0, rows.num_rows, step):
        pq.write_table(inputs.slice(start, step), table / f"part-{start:09d}.parquet")
    folder = home / "models" / model
    (folder / "checks").mkdir(parents=True)
    spec = {
        "name": model,
        "model": {"name": model, "alias": ALIAS},
        "schedule": {"cron": "0 0 * * *", "start": "2013-01-01"},
        "input": {"table": {"path": str(table), "whole": True}},
        "partition": {"column": DAY_COLUMN},
        "key": [DAY_COLUMN, NUMBER],
        "output": {"column": SCORE},
        "publish": {"table": model},
        "limits": {"max_quarantined_fraction": 1.0, "timeout_s": TIMEOUT_S},
    }
    (folder / "scoring.yaml").write_text(yaml.safe_dump(spec), encoding="utf-8")
    for suite in ("gate", "audit"):
        (folder / "checks" / f"{suite}.yaml").write_text(SUITE, encoding="utf-8")


def score_with_spark(model: str, environ: Mapping[str, str]) -> Batch:
    """Run a spec's plan, input and score steps; nothing is published.

    Raises:
        LockstepError: A step failed.
        ValueError: Some row has no score, so that it could not be compared.
    """
    settings = Settings.from_env(environ)
    folder = plan_run(find_spec(settings.models_root, model), DAY, settings).folder
    materialize(folder, settings)
    facts = score(folder, settings)
    found = read_batch(folder)
    if found.quarantined:
        raise ValueError(f"{model}: {len(found.quarantined)} of {len(found.keys)} rows have no score in the batch")
    return Batch(found.model, found.features, found.scores, (str(facts["device"]),))
