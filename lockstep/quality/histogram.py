"""The score's histogram for the report: this run in equal bins, beside what training looked like in them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from lockstep.quality.numbers import side_by_side
from lockstep.run.plan import Record

BINS = 40


class ScoreHistogram(Record):
    """Histogram of the score.

    Attributes:
        edges: `bins + 1` bounds.
        shares: Share of this run's rows per bin, 0..1.
        baseline: Share of the training rows per bin, spread evenly inside the baseline's own wider bins.
        mean: Mean score of this run; `baseline_mean` that of training.
    """

    edges: tuple[float, ...]
    shares: tuple[float, ...]
    baseline: tuple[float, ...] | None
    mean: float
    baseline_mean: float | None


def score_histogram(files: Sequence[Path], column: str, *, baseline: Mapping[str, Any] | None) -> ScoreHistogram | None:
    """Build the histogram, or return `None` when there is no finite score, or none that is a number.

    Args:
        files: Staged files.
        column: The score.
        baseline: Profile of the score in training (JSON form), if the model carries one.
    """
    if not files:
        return None
    kind = pq.read_schema(files[0]).field(column).type
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
        return None
    parts = [part for part in side_by_side(lambda file: _finite(file, column), files) if len(part)]
    if not parts:
        return None
    known = baseline if baseline and baseline.get("count") else None
    low, high = _range([float(part.min()) for part in parts] + [float(part.max()) for part in parts], known)
    binned = list(side_by_side(lambda part: np.histogram(part, bins=BINS, range=(low, high)), parts))
    counts, edges, rows = sum(count for count, _ in binned), binned[0][1], sum(map(len, parts))
    return ScoreHistogram(
        edges=tuple(float(edge) for edge in edges),
        shares=tuple(float(share) for share in counts / rows),
        baseline=_spread(known, edges) if known else None,
        mean=sum(float(part.sum()) for part in parts) / rows,
        baseline_mean=float(known["sum"]) / float(known["count"]) if known else None,
    )


def _finite(file: Path, column: str) -> npt.NDArray[np.float64]:
    with pq.ParquetFile(file) as opened:
        table = opened.read(columns=[column], use_threads=False)
    values = np.asarray(table.column(column).cast(pa.float64()).to_numpy(), dtype=np.float64)
    finite = np.isfinite(values)
    return values if finite.all() else values[finite]


def _range(values: Sequence[float], baseline: Mapping[str, Any] | None) -> tuple[float, float]:
    low, high = min(values), max(values)
    if baseline:
        low, high = min(low, float(baseline["min"])), max(high, float(baseline["max"]))
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _spread(baseline: Mapping[str, Any], edges: npt.NDArray[np.float64]) -> tuple[float, ...]:
    """Integrate the baseline's piecewise-even density over other bins."""
    bounds = np.asarray([baseline["min"], *baseline["edges"], baseline["max"]], dtype=np.float64)
    reached = np.concatenate([[0.0], np.cumsum(baseline["counts"]) / float(baseline["count"])])
    share = np.interp(edges, np.maximum.accumulate(bounds), reached, left=0.0, right=1.0)
    return tuple(float(part) for part in np.diff(share))
