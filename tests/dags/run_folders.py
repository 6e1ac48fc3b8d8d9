"""The folder of a run that is done, as the data plane leaves it."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

from lockstep.run.folder import RunFolder
from lockstep.run.identity import file_sha256
from lockstep.run.manifest import Manifest, UnitResult
from lockstep.run.plan import Column, ModelIdentity, Plan, ScoringInput, SourceFile
from lockstep.specs.spec import ScoringSpec

NOW = dt.datetime(2013, 8, 2, 6, tzinfo=dt.UTC)
DAY = dt.date(2013, 8, 1)
RUN_KEY, DIGEST = "0123456789abcdef", "d" * 64


def finished_run(home: Path, spec: ScoringSpec) -> RunFolder:
    """Write the records of a run of a spec; return its folder."""
    folder = RunFolder.of(home / "runs", spec=spec.name, partition=DAY, run_key=RUN_KEY)
    folder.write_json("plan.json", plan_of(home, spec))
    columns = dict.fromkeys(spec.carried, "string")
    folder.write_json("input.json", ScoringInput(rows=500, columns=columns, units=()))
    unit = {"unit": "0", "staged": "staging/0/a.parquet", "rows_in": 500, "rows_scored": 497, "rows_quarantined": 3}
    unit |= {"rows_staged": 497, "size_bytes": 4006, "sha256": "s"}
    folder.write_json("manifest.json", Manifest(run_key=RUN_KEY, units=(UnitResult(**unit),)))
    for stage in ("gate", "audit"):
        folder.write_json(f"{stage}.json", _verdict(stage, spec, file_sha256(folder.file("manifest.json"))))
    folder.write_json("publication.json", {"outcome": "published"})
    return folder


def plan_of(home: Path, spec: ScoringSpec) -> Plan:
    outputs = tuple(Column(name=name, dtype="double") for name in spec.output.columns)
    model = {"name": spec.model.name, "version": 17, "alias": "champion", "digest": DIGEST, "location": "/m"}
    day = {"size_bytes": 100, "mtime_ns": 1}
    views = spec.input.sources.items()
    files = [SourceFile(view=v, path=f"{home}/data/{source.path}/{n}", **day) for v, source in views for n in "ab"]
    return Plan(
        run_key=RUN_KEY,
        partition=DAY,
        spec=spec,
        spec_hash="a" * 64,
        model=ModelIdentity(**model, inputs=(), outputs=outputs),
        input_digest="b" * 64,
        sources=tuple(files),
        data_root=str(home / "data"),
        warehouse=str(home / "warehouse.duckdb"),
        cache_root=str(home / "cache"),
        code_version="0.1.0",
        planned_at=NOW,
    )


def _verdict(stage: str, spec: ScoringSpec, manifest: str) -> dict[str, Any]:
    good = {"kind": "expectation", "name": "expect_column_values_to_not_be_null", "severity": "critical"}
    good |= {"target": spec.key[0], "success": True, "observed": "0 nulls", "expected": "no nulls"}
    bad = {**good, "name": "expect_compound_columns_to_be_unique", "target": "a, b", "severity": "warning"}
    facts = {"stage": stage, "run_key": RUN_KEY, "passed": True, "rows": 500, "checked_at": NOW.isoformat()}
    drift = [{"column": spec.output.column, "psi": 0.125}] if stage == "audit" else []
    return json.loads(
        json.dumps({**facts, "manifest_sha256": manifest, "results": [good, {**bad, "success": False}], "drift": drift})
    )
