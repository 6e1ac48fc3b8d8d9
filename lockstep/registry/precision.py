"""The precision guard: reduced precision is used only after its effect on the scores was measured."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lockstep.errors import PrecisionRefused, PrecisionUnsupported
from lockstep.registry.artifact import read_artifact
from lockstep.registry.loading import load_scorer
from lockstep.registry.model_sample import model_sample
from lockstep.run.plan import PrecisionMeasure
from lockstep.scoring.backends import Execution
from lockstep.scoring.scorer import ScoredBatch, Scorer

SAMPLE_ROWS = 4_096
FULL = "float32"


def measure_precision(
    path: Path,
    execution: Execution,
    *,
    title: str,
    limit: float,
    outputs: Sequence[str] = (),
    sample: tuple[pa.RecordBatch, str] | None = None,
) -> PrecisionMeasure:
    """Score a sample in float32 and in reduced precision, and compare.

    Args:
        path: Folder of the model, in the node cache.
        execution: Device and the reduced precision.
        title: What to call the model.
        limit: Largest absolute difference that is allowed.
        outputs: Outputs that count; none: all.
        sample: At most `SAMPLE_ROWS` rows and what they are; none: drawn from what the model brings.

    Raises:
        PrecisionRefused: The difference is larger.
        PrecisionUnsupported: The model does not know the precision, or there is nothing to measure it with.
    """
    drawn = sample or model_sample(read_artifact(path, model=title), rows=SAMPLE_ROWS)
    if drawn is None:
        reason = "it has neither a baseline nor an input example to measure it with (log it with `input_example=`)"
        raise PrecisionUnsupported(title, wanted=execution.precision, reason=reason)
    batch, source = drawn
    reduced = load_scorer(path, execution=execution)
    exact = load_scorer(path, execution=replace(execution, precision=FULL))
    measure = _compared(exact, reduced, batch, outputs=outputs)
    if measure is None:
        reason = f"of {source}, none can be scored in float32, so it cannot be measured"
        raise PrecisionUnsupported(title, wanted=execution.precision, reason=reason)
    largest, mean = measure
    if not largest <= limit:
        got = f"up to {largest:.3g}" if np.isfinite(largest) else "rows that one scores and the other does not"
        told = f"{source} on {exact.device}"
        raise PrecisionRefused(title, precision=execution.precision, got=got, limit=limit, sample=told)
    return PrecisionMeasure(
        precision=execution.precision,
        device=exact.device,
        source=source,
        rows=batch.num_rows,
        max_difference=largest,
        mean_difference=mean,
        limit=limit,
    )


def _compared(
    exact: Scorer, reduced: Scorer, batch: pa.RecordBatch, *, outputs: Sequence[str]
) -> tuple[float, float] | None:
    """Return the largest and the mean absolute difference, infinite where one has no score; none without any score."""
    left, right = exact.score(batch), reduced.score(batch)
    good = np.setdiff1d(np.arange(batch.num_rows), list(left.reasons))
    if not len(good):
        return None
    if set(left.reasons) != set(right.reasons):
        return float("inf"), float("inf")
    wanted = [i for i, column in enumerate(exact.signature.outputs) if not outputs or column.name in outputs]
    apart = [_apart(left, right, output, rows=good) for output in wanted]
    return max(float(a.max()) for a in apart), float(np.mean([a.mean() for a in apart]))


def _apart(
    left: ScoredBatch, right: ScoredBatch, output: int, *, rows: npt.NDArray[np.intp]
) -> npt.NDArray[np.float64]:
    """Return absolute differences; of texts and flags, 1 where they differ."""
    one, other = left.outputs[output][rows], right.outputs[output][rows]
    if one.dtype.kind in "fiu":
        return np.abs(one.astype(np.float64) - other.astype(np.float64))
    return np.asarray(one != other, dtype=np.float64)
