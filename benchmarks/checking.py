"""Whether an output is right: every row once, and the scores of the bare loop."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.workloads.workload import SCORE

TOLERANCE = 1e-5


class OutputWrong(Exception):
    """A system scored wrongly."""


def read_scores(folder: Path) -> npt.NDArray[np.float64]:
    """Return the scores in the order of their ids.

    Raises:
        OutputWrong: A row is missing, or there twice, or is null.
    """
    files = sorted(path for path in folder.rglob("*.parquet") if not path.name.startswith((".", "_")))
    if not files:
        raise OutputWrong(f"no Parquet file in {folder}")
    tables = [pq.read_table(file, columns=["id", SCORE], partitioning=None) for file in files]
    table = pa.concat_tables([table for table in tables if table.num_rows])
    if table.schema.field(SCORE).type != pa.float64():
        raise OutputWrong(f"{SCORE} is {table.schema.field(SCORE).type}, expected double")
    ids = table.column("id").to_numpy()
    scores = np.full(table.num_rows, np.nan)
    if ids.min() != 0 or ids.max() != table.num_rows - 1:
        raise OutputWrong(f"{table.num_rows} rows, but ids from {ids.min()} to {ids.max()}")
    scores[ids] = table.column(SCORE).to_numpy()
    if not np.isfinite(scores).all():
        raise OutputWrong(f"{np.count_nonzero(~np.isfinite(scores))} ids have no score")
    return scores


def largest_difference(scores: npt.NDArray[np.float64], wanted: npt.NDArray[np.float64]) -> float:
    """Return the largest difference of any score.

    Raises:
        OutputWrong: It is above the tolerance, or there are more or fewer rows.
    """
    if len(scores) != len(wanted):
        raise OutputWrong(f"{len(scores)} rows, expected {len(wanted)}")
    difference = float(np.abs(scores - wanted).max())
    if difference > TOLERANCE:
        raise OutputWrong(f"scores differ by up to {difference:.2g}, more than {TOLERANCE}")
    return difference


def count_rows(folder: Path) -> int:
    """Return how many rows were written."""
    files = (path for path in folder.rglob("*.parquet") if not path.name.startswith((".", "_")))
    return sum(pq.read_metadata(file).num_rows for file in files)
