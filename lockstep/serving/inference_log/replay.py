"""From logged rows to a run of the batch over them: a table of the inputs, and a spec that scores it."""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from lockstep.serving.inference_log.layout import Layout
from lockstep.serving.inference_log.reading import Group, LogFile, read_rows
from lockstep.specs.loading import SPEC_FILE, LoadedSpec
from lockstep.specs.spec import ScoringSpec

NAME = "replay"
TABLE = "rows"
# What is told of a row that differs, as far as it is logged.
TOLD = ("log_id", "request_id", "row", "arm", "reason")
# A suite lists at least one check; what a replay is about are its scores.
SUITE = """description: A replay compares scores; its rows were checked when they were asked for.
expectations:
  - expectation: expect_table_row_count_to_be_between
    kwargs: {min_value: 1}
    why: without rows there is nothing to compare
"""
ANY_DIFFERENCE = 1e300

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Replay:
    """A table of logged inputs that waits to be scored.

    Attributes:
        layout: Whose rows they are.
        loaded: The spec that scores the table.
        day: The day that all rows count as.
        number: Name of the column with the number of a row, from 0.
        logged: `TOLD` as far as it is logged, and the kept outputs by the model's names; in the order of the numbers.
        devices: Where the endpoint scored them.
    """

    layout: Layout
    loaded: LoadedSpec
    day: dt.date
    number: str
    logged: pa.Table
    devices: tuple[str, ...]


def draw(files: Sequence[LogFile], rows: int | None, *, seed: int = 0) -> dict[Path, Rows]:
    """Draw rows of files, each with the same chance, the same for the same files.

    Args:
        files: All that may be drawn from.
        rows: How many; none, or more than there are: all.
        seed: Of the draw.

    Returns:
        Places of the drawn rows, ascending, by file.
    """
    ends = np.cumsum([file.rows for file in files], dtype=np.int64)
    total = int(ends[-1]) if len(ends) else 0
    drawn = np.arange(total)
    if rows is not None and rows < total:
        drawn = np.sort(np.random.default_rng(seed).choice(total, size=rows, replace=False))
    found = {}
    for file, end in zip(files, ends, strict=True):
        first, last = np.searchsorted(drawn, [end - file.rows, end])
        found[file.path] = drawn[first:last] - (end - file.rows)
    return found


def prepare(group: Group, drawn: Mapping[Path, Rows], folder: Path, *, day: dt.date, timeout_s: int) -> Replay:
    """Write the drawn rows of a group as a table, and a spec that scores it.

    Args:
        group: Files of one artifact; one without an obstacle.
        drawn: Places of rows by file.
        folder: For table and spec, made.
        day: The day that all rows count as.
        timeout_s: Longest time of the Spark job.

    Raises:
        NotALog: A file cannot be read.
    """
    layout = group.layout
    day_column, number = _free_names(layout)
    logged, first = [], 0
    table = folder / TABLE
    table.mkdir(parents=True)
    for place, file in enumerate(group.files):
        rows = drawn[file.path]
        if not len(rows):
            continue
        told, inputs = _read(file, rows)
        numbers = pa.array(np.arange(first, first + len(rows)))
        pq.write_table(inputs.append_column(number, numbers), table / f"{place:06d}.parquet")
        logged.append(told)
        first += len(rows)
    spec = _spec(layout, table, keys=(day_column, number), timeout_s=timeout_s)
    loaded = _written(spec, folder)
    return Replay(layout, loaded, day, number, pa.concat_tables(logged, promote_options="default"), group.devices)


def _read(file: LogFile, rows: Rows) -> tuple[pa.Table, pa.Table]:
    """Return what was told and answered of some rows, and what was asked, both by the model's names."""
    layout = file.layout
    told = [name for name in TOLD if name in layout.arrow_schema.names]
    outputs = {each.name: each.column.name for each in layout.outputs if each.kept}
    inputs = {each.name: each.column.name for each in layout.inputs}
    read = read_rows(file, [*told, *outputs, *inputs]).take(pa.array(rows)).replace_schema_metadata(None)
    answered = read.select(told).rename_columns([f"log.{name}" for name in told])
    for name, column in outputs.items():
        answered = answered.append_column(column, read.column(name))
    return answered, read.select(list(inputs)).rename_columns(list(inputs.values()))


def _free_names(layout: Layout) -> tuple[str, str]:
    """Return names for the two columns of the key that the model does not have."""
    taken = {each.column.name for each in (*layout.inputs, *layout.outputs)}
    ending = next(ending for length in count() if not taken & set(_names(ending := "_" * length)))
    return _names(ending)


def _names(ending: str) -> tuple[str, str]:
    return f"replay_day{ending}", f"replay_row{ending}"


def _spec(layout: Layout, table: Path, *, keys: tuple[str, str], timeout_s: int) -> ScoringSpec:
    outputs = [each.column.name for each in layout.outputs if each.kept]
    declared = {
        "name": NAME,
        "description": f"Rows that {layout.title} scored in real time.",
        "model": {
            "name": layout.model_name,
            "precision": layout.precision,
            "max_precision_difference": ANY_DIFFERENCE,  # it was measured when the endpoint loaded the model
            "environment": "ignore",
        },
        "schedule": {"cron": "0 0 * * *", "start": "2000-01-01"},
        "input": {"table": {"path": str(table), "whole": True}},
        "partition": {"column": keys[0]},
        "key": list(keys),
        "output": {"column": outputs[0], "further": outputs[1:]},
        "publish": {"table": NAME},
        # Rows that the endpoint had no score for are scored again too, and must have none.
        "limits": {"max_quarantined_fraction": 1.0, "timeout_s": timeout_s},
    }
    return ScoringSpec.model_validate(declared)


def _written(spec: ScoringSpec, folder: Path) -> LoadedSpec:
    """Write what planning a run reads of a spec's folder."""
    (folder / SPEC_FILE).write_text(json.dumps(spec.model_dump(mode="json")), encoding="utf-8")
    for suite in (spec.checks.gate, spec.checks.audit):
        (folder / suite).parent.mkdir(parents=True, exist_ok=True)
        (folder / suite).write_text(SUITE, encoding="utf-8")
    return LoadedSpec(spec, folder)
