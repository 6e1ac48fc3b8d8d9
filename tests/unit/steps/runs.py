"""Run folders as the steps before gate leave them, made without Spark and without a registry."""

import datetime as dt
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from lockstep.publish.warehouse import open_warehouse
from lockstep.registry.artifact import artifact_digest
from lockstep.run.folder import AUDIT, CLAIM, INPUT, MANIFEST, PLAN, RunFolder
from lockstep.run.identity import file_sha256, run_key, spec_hash
from lockstep.run.manifest import Manifest
from lockstep.run.plan import Column, ModelIdentity, Plan, ScoringInput, SourceFile
from lockstep.scoring.backends import Arrays, Encoded, Group
from lockstep.scoring.engine import UnitScorer
from lockstep.scoring.profile import Profile, build_baseline
from lockstep.scoring.scorer import Scorer
from lockstep.scoring.signature import Signature
from lockstep.scoring.units import plan_units
from lockstep.specs.loading import LoadedSpec, load_spec
from lockstep.specs.settings import WAREHOUSE_VARIABLES, Settings
from lockstep.steps.plan import spec_texts
from lockstep.steps.score import merged_profile

Score = Callable[[pa.RecordBatch], np.ndarray]

SPEC = {
    "name": "parcels",
    "model": {"name": "parcels"},
    "schedule": {"cron": "0 6 * * *", "start": dt.date(2024, 1, 1)},
    "input": {
        "query": "features.sql",
        "sources": {
            "parcels": {
                "path": "parcels",
                "partition": "day",
                "days": [0, 0],
                "columns": {"id": "long", "km": "double"},
            },
            "past": {"path": "parcels", "partition": "day", "days": [-7, -1], "columns": {"late": "boolean"}},
        },
    },
    "partition": {"column": "day"},
    "key": ["day", "id"],
    "passthrough": ["depot"],
    "output": {"column": "risk"},
    "publish": {"table": "parcel_scores"},
    "reporting": {"by_depot": "reporting/by_depot.sql"},
    "limits": {"max_quarantined_fraction": 0.1},
}
GATE = """
expectations:
  - {expectation: expect_table_row_count_to_be_between, kwargs: {min_value: 1}, why: rows must be there}
  - {expectation: expect_column_values_to_not_be_null, columns: [id, km], kwargs: {mostly: 0.5}, why: a dead sensor}
  - expectation: expect_column_values_to_be_in_set
    column: depot
    kwargs: {value_set: [N, S]}
    severity: warning
    why: another depot
"""
AUDIT_SUITE = """
expectations:
  - {expectation: expect_column_values_to_be_between, column: risk, kwargs: {min_value: 0, max_value: 1}, why: a share}
  - {expectation: expect_column_stdev_to_be_between, column: risk, kwargs: {min_value: 0.01}, why: a constant}
"""
BY_DEPOT = """
SELECT s.day, s.depot, count(*) AS parcels, avg(s.risk) AS risk, avg(o.late::INT) AS late
FROM scores s LEFT JOIN outcomes o USING (day, id) GROUP BY s.day, s.depot
"""
DAY = dt.date(2024, 3, 5)


class FunctionBackend:
    """A model that is a function of the batch."""

    device = "cpu"

    def __init__(self, function: Score) -> None:
        self.function = function

    def encode(self, batch: pa.RecordBatch) -> Encoded:
        """Do all the work."""
        return Encoded((Group((np.asarray(self.function(batch), dtype=np.float64),)),))

    def run(self, arrays: Arrays) -> Arrays:
        """Give it back."""
        return arrays


def km_risk(batch: pa.RecordBatch) -> np.ndarray:
    """A plausible model: the farther, the later."""
    return np.clip(np.nan_to_num(batch.column("km").to_numpy(zero_copy_only=False), nan=50.0) / 100, 0, 1)


def parcels(rows: int = 40, *, day: dt.date = DAY, **columns: Any) -> pa.Table:
    """Input rows of one day."""
    facts: dict[str, Any] = {
        "day": pa.array([day] * rows, pa.date32()),
        "id": pa.array(range(rows), pa.int64()),
        "depot": pa.array(["N" if i % 3 else "S" for i in range(rows)]),
        "km": pa.array([float((i * 37) % 100) for i in range(rows)]),
    }
    return pa.table({**facts, **columns})


def make_settings(root: Path) -> Settings:
    """Settings below a folder; warehouses other than DuckDB are where the environment says."""
    others = [variable for kind, variable in WAREHOUSE_VARIABLES.items() if kind != "duckdb"]
    return Settings.from_env(
        {
            **{variable: os.environ.get(variable, "") for variable in others},
            "LOCKSTEP_HOME": str(root),
            "LOCKSTEP_MODELS": str(root / "models"),
            "LOCKSTEP_WAREHOUSE_WAIT_S": "5",
            "LOCKSTEP_ACTOR": "tester",
        }
    )


def make_spec(root: Path, **changes: Any) -> LoadedSpec:
    """Write the little spec and its files."""
    folder = root / "models" / "parcels"
    texts = {"features.sql": "SELECT 1", "checks/gate.yaml": GATE, "checks/audit.yaml": AUDIT_SUITE}
    texts["reporting/by_depot.sql"] = BY_DEPOT
    texts["scoring.yaml"] = yaml.safe_dump({**SPEC, **changes})
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return load_spec(folder)


def make_model(
    root: Path,
    loaded: LoadedSpec,
    *,
    version: int,
    training: pa.Table | None,
    score: Score,
    inputs: Sequence[str] = ("km",),
) -> ModelIdentity:
    """Write an artifact that has nothing but a signature and, with training data, a baseline."""
    folder = root / "models_store" / f"{loaded.spec.model.name}-{version}"
    (folder / "artifacts").mkdir(parents=True, exist_ok=True)
    output = loaded.spec.output.column
    declared = {
        "inputs": [{"name": n, "type": "double"} for n in inputs],
        "outputs": [{"name": output, "type": "double"}],
    }
    sides = {side: json.dumps(columns) for side, columns in declared.items()}
    (folder / "MLmodel").write_text(yaml.safe_dump({"signature": sides, "metadata": {"version": version}}))
    if training is not None:
        scores = np.concatenate([score(batch) for batch in training.to_batches()])
        columns = {name: training.column(name).combine_chunks() for name in training.column_names}
        usable = {n: c for n, c in columns.items() if pa.types.is_string(c.type) or pa.types.is_floating(c.type)}
        profile = build_baseline({**usable, output: scores})
        (folder / "artifacts" / "baseline.json").write_text(json.dumps(profile.to_json()))
    return ModelIdentity(
        name=loaded.spec.model.name,
        version=version,
        alias="champion",
        digest=artifact_digest(folder),
        location=str(folder),
        inputs=tuple(Column(name=name, dtype="double") for name in inputs),
        outputs=(Column(name=output, dtype="double"),),
    )


def plan_run(
    root: Path, table: pa.Table, loaded: LoadedSpec, model: ModelIdentity, *, data: str = "data", claim: bool = True
) -> RunFolder:
    """Write plan, claim, frozen spec and materialised input of a run."""
    spec, settings = loaded.spec, make_settings(root)
    partition = table.column(spec.partition.column)[0].as_py() if table.num_rows else DAY
    texts = spec_texts(loaded)
    hashed = spec_hash(spec, texts)
    key = run_key(spec=hashed, partition=partition, model=model.digest, data=data)
    folder = RunFolder.of(settings.runs_root, spec=spec.name, partition=partition, run_key=key)
    source = SourceFile(view="parcels", path="parcels/day=2024-03-05/0.parquet", size_bytes=1234, mtime_ns=1)
    plan = Plan(
        run_key=key,
        partition=partition,
        spec=spec,
        spec_hash=hashed,
        model=model,
        input_digest=data,
        sources=(source,),
        data_root=str(settings.data_root),
        warehouse=settings.warehouse(spec.publish.warehouse),
        cache_root=str(settings.cache_root),
        code_version="0.1.0",
        planned_at=dt.datetime.now(dt.UTC),
    )
    folder.write_json(PLAN, plan)
    for name, text in texts.items():
        folder.write_text(f"spec/{name}", text)
    if claim:
        renew_claim(folder)
    folder.folder("input")
    pq.write_table(table, folder.file("input", "part-0.parquet"), row_group_size=max(table.num_rows // 2, 1))
    units = plan_units(folder.path, ["input/part-0.parquet"], unit_bytes=1)
    columns = {field.name: str(field.type) for field in table.schema}
    folder.write_json(INPUT, ScoringInput(rows=table.num_rows, columns=columns, units=units))
    return folder


def renew_claim(folder: RunFolder) -> None:
    """Claim the partition, as planning again does."""
    plan = folder.plan(step="test")
    warehouse = open_warehouse(plan.spec.publish.warehouse, plan.warehouse, wait_s=5)
    now = dt.datetime.now(dt.UTC)
    folder.write_json(
        CLAIM, warehouse.claim(plan.spec.publish.table, partition=plan.partition, run_key=plan.run_key, now=now)
    )


def score_run(folder: RunFolder, score: Score = km_risk) -> Manifest:
    """Score the units in this process, as the Spark workers do."""
    plan, wanted = folder.plan(step="test"), folder.scoring_input(step="test")
    baseline = Path(plan.model.location, "artifacts", "baseline.json")
    profile = Profile.from_json(json.loads(baseline.read_text())) if baseline.is_file() else None
    signature = Signature(plan.model.inputs, plan.model.outputs)
    scorer = Scorer(FunctionBackend(score), signature, block_rows=4)
    units = UnitScorer(folder, plan, scorer, baseline=profile)
    results = tuple(units.score(unit) for unit in wanted.units)
    manifest = Manifest(run_key=plan.run_key, units=results, profile=merged_profile(results))
    folder.write_json(MANIFEST, manifest)
    return manifest


def make_run(
    root: Path, *, table: pa.Table | None = None, version: int = 1, score: Score = km_risk, **changes: Any
) -> RunFolder:
    """Make a scored run of the little spec; `changes` replace keys of the spec."""
    loaded = make_spec(root, **changes)
    rows = parcels() if table is None else table
    model = make_model(root, loaded, version=version, training=parcels(500), score=km_risk)
    folder = plan_run(root, rows, loaded, model)
    score_run(folder, score)
    return folder


def pass_audit(folder: RunFolder, **changes: Any) -> RunFolder:
    """Write the verdict that a passed audit leaves."""
    plan = folder.plan(step="test")
    verdict = {
        "stage": "audit",
        "run_key": plan.run_key,
        "partition": plan.partition.isoformat(),
        "passed": True,
        "checked_at": plan.planned_at.isoformat(),
        "rows": 40,
        "manifest_sha256": file_sha256(folder.file(MANIFEST)),
        "results": [],
    }
    folder.write_json(AUDIT, {**verdict, **changes})
    return folder
