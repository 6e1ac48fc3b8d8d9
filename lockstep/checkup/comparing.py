"""The same rows by MLflow itself and by the endpoint: does everybody give them the same scores?"""

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lockstep.checkup.findings import Finding
from lockstep.checkup.sampling import Scored
from lockstep.registry.artifact import read_artifact
from lockstep.registry.cache import fetch_artifact
from lockstep.registry.own_code import OwnCode, OwnCodeBackend
from lockstep.registry.pyfunc_backend import load
from lockstep.run.exit_codes import PARITY_DIFFERS
from lockstep.run.plan import Plan
from lockstep.scoring.backends import Execution
from lockstep.serving.batch_scores import BatchScores
from lockstep.serving.client import EndpointClient
from lockstep.serving.errors import OutputNotComparable
from lockstep.serving.local_endpoint import local_endpoint
from lockstep.serving.parity import compare, require_comparable
from lockstep.specs.settings import Settings

# What kernels differ by when they are given the rows in other shapes: not a matter of the model.
ROUNDING = 1e-4
ASKED_ROWS = 300


def compare_with_mlflow(sample: Scored, plan: Plan, settings: Settings) -> Finding:
    """Give the sample to the model's own `predict`, in one call, and compare all outputs.

    Raises:
        ArtifactInvalid: MLflow cannot load it.
    """
    if (precision := plan.spec.model.precision) != "float32":
        return Finding("mlflow", "skipped", f"scores are in {precision}: what that changes was measured for the plan")
    artifact = read_artifact(fetch_artifact(plan.model, settings.cache_root), model=plan.model.name)
    code = OwnCode(artifact.path, artifact.flavors)
    with code.in_place():
        backend = OwnCodeBackend(load(artifact, Execution()), code)
    scored = np.delete(np.arange(sample.batch.num_rows), list(sample.scores.reasons))
    differing, largest, compared = 0, 0.0, len(scored)
    try:
        groups = backend.encode(sample.batch.take(pa.array(scored))).groups
        answers = [backend.run(group.arrays) for group in groups]
    except Exception as error:  # noqa: BLE001 - a model's own code may raise anything, and its message quote a row
        said = f"MLflow's own predict raises {type(error).__name__} when it is given {compared:,} rows at once"
        to_do = "call predict of the model on these rows, mend what it raises, and log it again"
        return Finding("mlflow", "problem", said, to_do, PARITY_DIFFERS)
    for group, answer in zip(groups, answers, strict=True):
        places = scored if group.rows is None else scored[np.asarray(group.rows)]
        differs = np.zeros(len(places), bool)
        for ours, theirs in zip(sample.scores.outputs, answer, strict=True):
            apart = _apart(ours[places], theirs.reshape(ours[places].shape))
            differs |= apart > 0
            largest = max(largest, float(apart.max(initial=0.0)))
        differing += int(differs.sum())
    facts = {"rows": compared, "differing_rows": differing, "largest_relative_difference": largest}
    if not differing:
        return Finding(
            "mlflow", "ok", f"all {compared:,} rows as MLflow's own predict gives them, bit for bit", facts=facts
        )
    seen = f"{differing:,} of {compared:,} rows differ from MLflow's own predict, by {largest:.2g} of the value at most"
    if largest <= ROUNDING:
        why = "kernels round differently by the number of rows; Lockstep fixes it, so that batch and endpoint agree"
        return Finding("mlflow", "ok", f"{seen}: rounding ({why})", facts=facts)
    to_do = (
        "a score of this model depends on the rows beside it, on chance or on time (a mean over the batch, dropout, a "
        "sample): make predict a function of the row alone, and log it again"
    )
    return Finding("mlflow", "problem", seen, to_do, PARITY_DIFFERS, facts)


def _apart(ours: npt.NDArray[Any], theirs: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return how far rows are apart, relative to the larger value; 1 where values that are no floats differ."""
    rows = (len(ours), -1)
    if ours.dtype.kind != "f":
        differs: npt.NDArray[np.float64] = (ours.reshape(rows) != theirs.reshape(rows)).any(axis=1).astype(np.float64)
        return differs
    one, other = ours.reshape(rows).astype(np.float64), theirs.reshape(rows).astype(np.float64)
    scale = np.maximum(np.maximum(np.abs(one), np.abs(other)), 1e-6)
    with np.errstate(invalid="ignore"):
        apart = np.where(one == other, 0.0, np.abs(one - other) / scale)
    found: npt.NDArray[np.float64] = np.where(np.isnan(apart), np.inf, apart).max(axis=1, initial=0.0)
    return found


def compare_with_endpoint(sample: Scored, plan: Plan, settings: Settings, *, log: Path) -> Finding:
    """Send rows of the sample to an endpoint of their own, in every form, and compare bit for bit.

    Raises:
        LockstepError: The endpoint does not start, or does not answer.
    """
    try:
        require_comparable(plan.model)
    except OutputNotComparable as error:  # its output is no number, which is fine
        return Finding("endpoint", "skipped", str(error))
    batch = _as_batch(sample, plan)
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(local_endpoint(plan.spec.name, settings, version=plan.model.version, log=log))
        output = plan.model.outputs[0].name
        client = EndpointClient(url, plan.model.name, inputs=plan.model.inputs, output=output)
        report = compare(batch, stack.enter_context(contextlib.closing(client)), url=url)
    facts = {"answers": report.answers, "requests": report.requests, "differing_rows": len(report.differing)}
    if report.equal:
        asked = f"{report.answers:,} answers in {report.requests:,} requests of 1 to 1,000 rows"
        return Finding("endpoint", "ok", f"{asked} equal the batch, bit for bit", facts=facts)
    example = report.examples[0]
    told = example.error or f"by {report.max_abs_difference:.3g} at most"
    to_do = (
        "the score of a row depends on how many rows come with it, or on chance: make predict a function of the row "
        "alone, and log it again"
    )
    text = f"{len(report.differing):,} of {report.rows:,} rows have another answer from the endpoint, {told}"
    return Finding("endpoint", "problem", text, to_do, PARITY_DIFFERS, facts)


def _as_batch(sample: Scored, plan: Plan) -> BatchScores:
    count = min(sample.batch.num_rows, ASKED_ROWS)
    scores = np.asarray(sample.scores.values[:count], dtype=np.float64).copy()
    quarantined = tuple(row for row in sorted(sample.scores.reasons) if row < count)
    scores[list(quarantined)] = np.nan
    keys = list(zip(*(sample.rows.column(name)[:count].to_pylist() for name in plan.spec.key), strict=True))
    features = pa.Table.from_batches([sample.batch.slice(0, count)])
    return BatchScores(plan.spec.name, str(plan.partition), plan.model, keys, features, scores, quarantined)
