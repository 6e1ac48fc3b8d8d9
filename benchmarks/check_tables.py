"""Tables and suites that `benchmarks.checks` measures: staged files as scoring writes them."""

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.job import COMPLETE, SCRATCH, empty_folder
from lockstep.scoring.staged import StagedWriter, Stamps

DAY = dt.date(2026, 1, 1)
AT = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
FILES, BATCH_ROWS = 8, 131_072
KEY, SCORE = ("day", "id"), "score"
STAMPS = {
    "model_name": pa.scalar("bench"),
    "model_version": pa.scalar(3, pa.int64()),
    "model_digest": pa.scalar("0123456789abcdef" * 4),
    "run_key": pa.scalar("0123456789abcdef"),
    "scored_at": pa.scalar(AT, pa.timestamp("us", tz="UTC")),
}


def check(
    name: str, *, column: str | None = None, columns: Sequence[str] | None = None, **kwargs: Any
) -> dict[str, Any]:
    """Return one check of a suite."""
    made: dict[str, Any] = {"expectation": f"expect_{name}", "kwargs": kwargs, "why": "it is measured"}
    return made | ({"column": column} if column else {}) | ({"columns": list(columns)} if columns else {})


AUDIT = (
    check("table_row_count_to_be_between", min_value=1),
    check("compound_columns_to_be_unique", columns=KEY),
    check("column_values_to_not_be_null", column=SCORE),
    check("column_values_to_be_between", column=SCORE, min_value=0, max_value=1),
    check("column_stdev_to_be_between", column=SCORE, min_value=0.01),
    check("column_unique_value_count_to_be_between", column=SCORE, min_value=50),
    check("column_mean_to_be_between", column=SCORE, min_value=0.02, max_value=0.75),
    check("column_mean_to_be_between", column=SCORE, min_value=0.08, max_value=0.55),
)
SEVEN = (
    check("table_row_count_to_be_between", min_value=1),
    check("column_values_to_be_unique", column="id"),
    check("column_values_to_not_be_null", column="id"),
    check("column_values_to_not_be_null", column=SCORE),
    check("column_values_to_be_between", column=SCORE, min_value=0, max_value=1),
    check("column_mean_to_be_between", column=SCORE, min_value=0.02, max_value=0.75),
    check("column_stdev_to_be_between", column=SCORE, min_value=0.01),
)


def staged_files(rows: int, *, stamped: bool) -> list[Path]:
    """Return staged files, written as scoring writes them, made if need be."""
    folder = SCRATCH / "checks" / f"{rows}-{'stamped' if stamped else 'plain'}"
    if not (folder / COMPLETE).exists():
        empty_folder(folder)
        for number in range(FILES):
            _write(folder / f"{number}.parquet", number, rows=rows // FILES, stamps=STAMPS if stamped else {})
        (folder / COMPLETE).touch()
    return sorted(folder.glob("*.parquet"))


def _write(path: Path, number: int, *, rows: int, stamps: Mapping[str, pa.Scalar]) -> None:
    random, columns = np.random.default_rng(number), Stamps(stamps)
    with StagedWriter(path, constant=tuple(stamps)) as writer:
        for start in range(0, rows, BATCH_ROWS):
            count = min(BATCH_ROWS, rows - start)
            first = number * rows + start
            facts = {
                "day": pa.repeat(pa.scalar(DAY), count),
                "id": pa.array(np.arange(first, first + count)),
                SCORE: pa.array(random.beta(2, 5, count)),
            }
            writer.write(pa.record_batch({**facts, **columns.columns(count)}))
