"""What a step of a run read and wrote, as OpenLineage calls it: datasets and facets, from the run folder alone.

Facets are plain data here; `lockstep.report.lineage` makes OpenLineage's own of them.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lockstep.errors import LockstepError
from lockstep.run.datasets import DatasetName, of_input_table, of_path, of_table
from lockstep.run.folder import INPUT, MANIFEST, PLAN, PUBLICATION, RunFolder
from lockstep.run.identity import file_sha256
from lockstep.run.plan import Plan
from lockstep.run.verdicts import SeenVerdict, seen_verdict

Facets = dict[str, Any]
READ_SOURCES = ("materialize", "gate", "score", "publish", "run")
READ_STAGED = ("audit", "publish", "run")
WRITE_TABLE = ("publish", "run")
# Stamped on every row, see lockstep/scoring.
STAMPS = {
    "model_name": "string",
    "model_version": "long",
    "model_digest": "string",
    "run_key": "string",
    "scored_at": "timestamp",
}


@dataclass(frozen=True)
class Dataset:
    """A dataset that a step read or wrote.

    Attributes:
        facets: Of the dataset itself.
        role_facets: Of what this step did with it.
    """

    name: DatasetName
    facets: Facets = field(default_factory=dict)
    role_facets: Facets = field(default_factory=dict)


@dataclass(frozen=True)
class Lineage:
    """What a step read and wrote, and which scoring run it is of."""

    inputs: tuple[Dataset, ...] = ()
    outputs: tuple[Dataset, ...] = ()
    run: Facets = field(default_factory=dict)


def lineage_of(folder: RunFolder, step: str, *, environ: Mapping[str, str] | None = None) -> Lineage:
    """Return the lineage of a step, begun or ended; empty without a readable plan.

    Args:
        folder: The run.
        step: Name of the step; `run` is all of them together.
        environ: Usually `os.environ`.
    """
    if not folder.has(PLAN):
        return Lineage()
    try:
        plan = folder.plan(step=step)
    except LockstepError:  # of another version of Lockstep
        return Lineage()
    inputs, outputs = _datasets(folder, plan, step=step, environ=os.environ if environ is None else environ)
    return Lineage(tuple(inputs), tuple(outputs), scoring_run(folder, plan))


def _datasets(
    folder: RunFolder, plan: Plan, *, step: str, environ: Mapping[str, str]
) -> tuple[list[Dataset], list[Dataset]]:
    inputs: list[Dataset] = []
    outputs: list[Dataset] = []
    if step in READ_SOURCES:
        inputs += _sources(folder, plan, seen_verdict(folder.path, "gate") if step in ("gate", "run") else None)
    if step in READ_STAGED:
        inputs.append(_staged(folder, plan, verdict=seen_verdict(folder.path, "audit")))
    if step == "score":
        outputs.append(_staged(folder, plan, written=True))
    if step in WRITE_TABLE:
        outputs.append(_table(folder, plan, environ))
    return inputs, outputs


def _sources(folder: RunFolder, plan: Plan, verdict: SeenVerdict | None = None) -> list[Dataset]:
    """Return the sources, each once though several views read it; what the gate found is of those of the scored day."""
    views: dict[DatasetName, list[str]] = {}
    for view in dict.fromkeys(file.view for file in plan.sources):
        views.setdefault(_source_name(plan, view), []).append(view)
    return [_source(folder, plan, name, views=named, verdict=verdict) for name, named in views.items()]


def _source(
    folder: RunFolder, plan: Plan, name: DatasetName, *, views: Sequence[str], verdict: SeenVerdict | None
) -> Dataset:
    declared = [plan.spec.input.sources[view] for view in views if view in plan.spec.input.sources]
    sizes = {file.path: file.size_bytes for file in plan.sources if file.view in views}
    role: Facets = {"inputStatistics": {"size": sum(sizes.values()), "fileCount": len(sizes)}}
    if verdict is not None and (not declared or any(source.is_current for source in declared)):
        role["dataQualityAssertions"] = _assertions(verdict)
    columns = {column: str(kind) for source in declared for column, kind in source.columns.items()}
    if not declared and folder.has(INPUT):  # a table, which is scored as it is
        columns = folder.scoring_input(step="lineage").columns
    return Dataset(name, {"dataSource": _data_source(name), **({"schema": _schema(columns)} if columns else {})}, role)


def _source_name(plan: Plan, view: str) -> DatasetName:
    table, source = plan.spec.input.table, plan.spec.input.sources.get(view)
    if table is not None and table.format == "postgresql":
        return of_input_table(str(table.path), str(table.name))
    if table is not None and table.path is None:
        return DatasetName(f"iceberg://{table.catalog}", str(table.name))
    path = table.path if table is not None else source.path if source is not None else view
    return of_path(str(path) if "://" in str(path) else str(Path(plan.data_root) / str(path)))


def _staged(folder: RunFolder, plan: Plan, *, verdict: SeenVerdict | None = None, written: bool = False) -> Dataset:
    """Return the staged scores of a spec: one dataset, whatever the run, so that graphs stay small."""
    name = of_path(str(folder.path.parents[1]))
    facets: Facets = {"dataSource": _data_source(name), "schema": _schema(_columns(folder, plan))}
    role: Facets = {}
    if verdict is not None:
        role["dataQualityAssertions"] = _assertions(verdict)
    if written and (statistics := _statistics(folder)):
        role["outputStatistics"] = statistics
    return Dataset(name, facets, role)


def _table(folder: RunFolder, plan: Plan, environ: Mapping[str, str]) -> Dataset:
    publish = plan.spec.publish
    name = of_table(publish.warehouse, plan.warehouse, publish.table, environ=environ)
    facets: Facets = {"dataSource": _data_source(name), "schema": _schema(_columns(folder, plan))}
    if folder.has(PUBLICATION):
        facets["version"] = {"datasetVersion": plan.run_key}
        statistics = _statistics(folder)
        return Dataset(name, facets, {"outputStatistics": statistics} if statistics else {})
    return Dataset(name, facets)


def _statistics(folder: RunFolder) -> Facets:
    if not folder.has(MANIFEST):
        return {}
    manifest = folder.manifest(step="lineage")
    size = sum(unit.size_bytes for unit in manifest.units)
    return {"rowCount": manifest.rows_staged, "size": size, "fileCount": len(manifest.units)}


def _assertions(verdict: SeenVerdict) -> Facets:
    severity = {"critical": "error", "warning": "warn"}
    return {
        "assertions": [
            {
                "assertion": check.name,
                "success": check.success,
                # One column, or none: a check on several is one on the dataset.
                "column": check.target if check.target and "," not in check.target else None,
                "severity": severity[check.severity],
                "expected": check.expected,
                "actual": check.observed,
            }
            for check in verdict.results
        ]
    }


def _columns(folder: RunFolder, plan: Plan) -> dict[str, str]:
    """Return the columns of staged scores and published table with their types, as far as they are known by now."""
    types: dict[str, str] = {}
    if folder.has(INPUT):
        types |= folder.scoring_input(step="lineage").columns
    types |= {output.name: output.dtype for output in plan.model.outputs}
    names = (*plan.spec.carried, *plan.spec.output.staged)
    return {**{name: types.get(name, "string" if name == plan.spec.output.errors else "") for name in names}, **STAMPS}


def _schema(columns: Mapping[str, str]) -> Facets:
    return {"fields": [{"name": name, "type": kind or None} for name, kind in columns.items()]}


def _data_source(name: DatasetName) -> Facets:
    return {"name": name.namespace, "uri": name.uri}


def scoring_run(folder: RunFolder, plan: Plan) -> Facets:
    """Return our own facet: which scoring run it is (docs/lineage has its schema)."""
    facet: Facets = {
        "spec": plan.spec.name,
        "specHash": plan.spec_hash,
        "partition": plan.partition.isoformat(),
        "runKey": plan.run_key,
        "inputDigest": plan.input_digest,
        "modelName": plan.model.name,
        "modelVersion": plan.model.version,
        "modelAlias": plan.model.alias,
        "modelDigest": plan.model.digest,
        "codeVersion": plan.code_version,
    }
    if folder.has(MANIFEST):
        manifest = folder.manifest(step="lineage")
        facet["manifestSha256"] = file_sha256(folder.file(MANIFEST))
        facet |= {"rowsIn": manifest.rows_in, "rowsScored": manifest.rows_scored}
        facet["rowsQuarantined"] = manifest.rows_quarantined
    audit = seen_verdict(folder.path, "audit")
    if audit is not None and (psi := audit.psi(plan.spec.output.column)) is not None:
        facet["scorePsi"] = psi
    return {name: value for name, value in facet.items() if value is not None}
