"""Comparison of two runs: rows that are in one only, rows whose score changed, and by how much."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from lockstep.errors import ColumnMissing, InputError
from lockstep.run.canary import published_manifest
from lockstep.run.folder import MANIFEST, RunFolder
from lockstep.run.plan import Plan
from lockstep.storage.files import Location
from lockstep.storage.files import found as found_below

QUANTILES = (0.5, 0.9, 0.99, 1.0)
SEGMENTS = 50


@dataclass(frozen=True)
class Shift:
    """How the scores of some rows changed from run A to run B.

    Attributes:
        segment: Value of the segment column; none for all rows.
        only_a, only_b: Rows that one run has alone.
        both: Rows of both runs.
        changed: Rows of both whose score differs in any bit.
        mean_a, mean_b: Mean score of the rows of both.
        quantiles: Of the absolute change of a row: its median, 90 %, 99 % and largest.
    """

    segment: str | None
    only_a: int
    only_b: int
    both: int
    changed: int
    mean_a: float | None
    mean_b: float | None
    quantiles: tuple[float | None, ...]


def find_run(runs_root: Location, name: str) -> RunFolder:
    """Return a run by its folder, or by its key or the beginning of it.

    Raises:
        InputError: There is none, or there are several.
    """
    with contextlib.suppress(ValueError):
        if RunFolder.at(name).has(MANIFEST):
            return RunFolder.at(name)
    found = [path.parent for path in found_below(runs_root, f"*/*/{name}*/{MANIFEST}")] if name.isalnum() else []
    if len(found) != 1:
        what = "several runs begin so" if found else "no finished run has this key or folder"
        raise InputError(f"run {name}: {what} below {runs_root}. Give a run's key (see `lockstep history`) or folder.")
    return RunFolder(found[0])


def compare(a: RunFolder, b: RunFolder, *, by: str | None) -> list[Shift]:
    """Compare two runs row by row; runs of different days are matched without the day.

    Args:
        a: One run.
        b: The other.
        by: Column to split by, of the key or passed through.

    Returns:
        All rows first, then one entry a segment, the commonest first.

    Raises:
        InputError: The runs have no key in common, or their score is no number.
        ColumnMissing: The segment column is not published.
    """
    plans = (a.plan(step="diff"), b.plan(step="diff"))
    key = _shared_key(*plans)
    if by is not None and not all(by in plan.spec.carried for plan in plans):
        raise ColumnMissing(
            by, where="the published rows of both runs", expected="a segment", got=plans[0].spec.carried
        )
    with duckdb.connect(":memory:") as engine:
        engine.execute("SET enable_progress_bar = false")
        for name, folder in (("a", a), ("b", b)):
            _register(engine, name, folder)
        return [_shift(row) for row in _query(engine, key, plans=plans, by=by)]


def _shared_key(a: Plan, b: Plan) -> list[str]:
    key = [column for column in a.spec.key if a.partition == b.partition or column != a.spec.partition.column]
    if a.spec.key != b.spec.key or not key:
        raise InputError(
            f"runs {a.run_key} and {b.run_key} cannot be compared row by row: their keys are ({', '.join(a.spec.key)}) "
            f"of {a.partition} and ({', '.join(b.spec.key)}) of {b.partition}"
        )
    for plan in (a, b):
        output = next(o for o in plan.model.outputs if o.name == plan.spec.output.column)
        if output.shape is not None or output.dtype == "string":
            raise InputError(f"run {plan.run_key}: the output {output.name} is no number; only numbers are compared")
    return key


def _register(engine: duckdb.DuckDBPyConnection, name: str, folder: RunFolder) -> None:
    import pyarrow.dataset as ds  # the engine reads through it, so that file names are never patterns

    files = [str(folder.local(unit.staged)) for unit in published_manifest(folder, step="diff").units]
    if not files:
        raise InputError(f"run {folder.path.name} has no rows to compare")
    engine.register(name, ds.dataset(files, format="parquet"))


def _query(
    engine: duckdb.DuckDBPyConnection, key: Sequence[str], *, plans: tuple[Plan, Plan], by: str | None
) -> list[tuple[Any, ...]]:
    names = [_quoted(column) for column in key]
    same = " AND ".join(f"a.{name} IS NOT DISTINCT FROM b.{name}" for name in names)
    scores = [f"CAST({side}.{_quoted(p.spec.output.column)} AS DOUBLE)" for side, p in zip("ab", plans, strict=True)]
    segment = f"CAST(coalesce(a.{_quoted(by)}, b.{_quoted(by)}) AS VARCHAR)" if by else "NULL"
    rows = (
        f"SELECT {segment} AS segment, a.run_key IS NOT NULL AS in_a, b.run_key IS NOT NULL AS in_b, "  # noqa: S608
        f"{scores[0]} AS sa, {scores[1]} AS sb FROM a FULL JOIN b ON {same}"
    )
    both = "FILTER (in_a AND in_b)"
    figures = (
        f"count(*) FILTER (NOT in_b), count(*) FILTER (NOT in_a), count(*) {both}, "
        f"count(*) FILTER (in_a AND in_b AND sa IS DISTINCT FROM sb), avg(sa) {both}, avg(sb) {both}, "
        f"quantile_cont(abs(sb - sa), {list(QUANTILES)}) {both}"
    )
    engine.execute(f"CREATE TEMP TABLE paired AS {rows}")
    found = engine.execute(f"SELECT NULL, {figures} FROM paired").fetchall()  # noqa: S608 - built above
    if by:
        order = f"GROUP BY segment ORDER BY count(*) DESC, segment LIMIT {SEGMENTS}"
        found += engine.execute(f"SELECT coalesce(segment, 'null'), {figures} FROM paired {order}").fetchall()  # noqa: S608
    return found


def _shift(row: tuple[Any, ...]) -> Shift:
    facts: tuple[Any, ...] = (*row[:-1], tuple(row[-1] or (None,) * len(QUANTILES)))
    return Shift(*facts)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
