"""What must hold for every run, whatever its suites say: the staged bytes are the whole, exact result of the plan."""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from lockstep.quality.results import CheckResult
from lockstep.run.identity import file_sha256
from lockstep.run.manifest import Manifest
from lockstep.run.plan import Plan, ScoringInput

STAMPS = ("model_name", "model_version", "model_digest", "run_key", "scored_at")
SHOWN = 3


@dataclass(frozen=True)
class StagedFacts:
    """What the staged files say.

    Attributes:
        rows: Rows by file name.
        stamps: The distinct combinations of model name, version, digest and run key.
        partitions: The distinct partition values.
        repeated_keys: Keys that more than one row has.
        null_stamps: Rows without a scoring time.
    """

    rows: dict[str, int]
    stamps: tuple[tuple[Any, ...], ...]
    partitions: tuple[Any, ...]
    repeated_keys: int
    null_stamps: int


def invariant(name: str, *, ok: bool, observed: str, expected: str, why: str, target: str = "") -> CheckResult:
    """Make the result of one invariant."""
    return CheckResult(
        kind="invariant", name=name, target=target, success=ok, observed=observed, expected=expected, why=why
    )


def accounted_rows(manifest: Manifest, scoring_input: ScoringInput) -> list[CheckResult]:
    """Check that every input row was scored or quarantined, per unit and in total."""
    expected = {unit.id: unit.rows for unit in scoring_input.units}
    got = {unit.unit: unit for unit in manifest.units}
    lost = sorted(expected.keys() ^ got.keys())
    uneven = [
        f"{u.unit}: in {u.rows_in}, scored {u.rows_scored}, quarantined {u.rows_quarantined}"
        for u in manifest.units
        if u.rows_in != u.rows_scored + u.rows_quarantined or expected.get(u.unit, u.rows_in) != u.rows_in
    ]
    balance = f"{manifest.rows_scored:,} scored + {manifest.rows_quarantined:,} quarantined"
    total_ok = scoring_input.rows == manifest.rows_in == manifest.rows_scored + manifest.rows_quarantined
    return [
        invariant(
            "every_unit_is_accepted_once",
            ok=not lost and len(got) == len(manifest.units),
            observed=f"{len(manifest.units)} accepted" + (f"; differing: {_few(lost)}" if lost else ""),
            expected=f"the {len(expected)} units of the input",
            why="a unit that is missing or counted twice loses or doubles rows",
        ),
        invariant(
            "rows_balance_per_unit",
            ok=not uneven,
            observed=_few(uneven) if uneven else f"{len(got)} units in balance",
            expected="rows in = scored + quarantined in each unit",
            why="rows must not vanish",
        ),
        invariant(
            "rows_balance_in_total",
            ok=total_ok,
            observed=balance,
            expected=f"{scoring_input.rows:,} rows in",
            why="rows must not vanish",
        ),
    ]


def unchanged_files(manifest: Manifest, root: Path) -> list[CheckResult]:
    """Check size and hash of every staged file against the manifest."""
    wrong = [
        problem
        for unit in manifest.units
        if (problem := staged_problem(root / unit.staged, unit.size_bytes, unit.sha256))
    ]
    total = sum(unit.size_bytes for unit in manifest.units)
    return [
        invariant(
            "staged_files_are_unchanged",
            ok=not wrong,
            observed=_few(wrong) if wrong else f"{len(manifest.units)} files, {total:,} bytes, sha256 equal",
            expected="size and sha256 of the manifest",
            why="what is published must be what was scored",
        )
    ]


def staged_problem(path: Path, size_bytes: int, sha256: str) -> str | None:
    """Say how a staged file differs from its manifest entry, or return `None`."""
    try:
        size = path.stat().st_size
        if size != size_bytes:
            return f"{path.name} has {size:,} bytes, not {size_bytes:,}"
        digest = file_sha256(path)
    except OSError as error:
        return f"{path.name} cannot be read ({error.strerror})"
    return None if digest == sha256 else f"{path.name} has sha256 {digest[:12]}…, not {sha256[:12]}…"


def read_staged(files: Sequence[Path], *, key: Sequence[str], partition_column: str) -> StagedFacts:
    """Read the facts that the invariants need, out of core and without a row leaving the engine."""
    import pyarrow.dataset as ds  # the engine reads through it, so that file names are never patterns

    with duckdb.connect(":memory:") as engine:
        engine.execute("SET enable_progress_bar = false")  # it would draw on our standard output
        rows = {str(file): ds.dataset(str(file), format="parquet").count_rows() for file in files}
        staged = ds.dataset([str(file) for file in files], format="parquet")
        engine.register("staged", staged)
        keys = ", ".join(quoted(column) for column in key)
        by_stamp = f"SELECT DISTINCT {', '.join(STAMPS[:4])} FROM staged LIMIT 5"  # noqa: S608 - names of our own
        twice = f"SELECT count(*) FROM (SELECT 1 FROM staged GROUP BY {keys} HAVING count(*) > 1)"  # noqa: S608 - quoted
        days = f"SELECT DISTINCT {quoted(partition_column)} FROM staged LIMIT 5"  # noqa: S608 - quoted
        return StagedFacts(
            rows=rows,
            stamps=tuple(engine.execute(by_stamp).fetchall()),
            partitions=tuple(row[0] for row in engine.execute(days).fetchall()),
            repeated_keys=_one(engine, twice),
            null_stamps=_one(engine, "SELECT count(*) FROM staged WHERE scored_at IS NULL"),
        )


def staged_rows(facts: StagedFacts, plan: Plan, manifest: Manifest, *, root: Path) -> list[CheckResult]:
    """Check the staged rows against plan and manifest."""
    model = plan.model
    stamp = (model.name, model.version, model.digest, plan.run_key)
    counts = {str(root / unit.staged): unit.rows_staged for unit in manifest.units}
    uneven = [f"{Path(p).name}: {facts.rows.get(p)}, not {n}" for p, n in counts.items() if facts.rows.get(p) != n]
    days = tuple(day.date() if isinstance(day, dt.datetime) else day for day in facts.partitions)
    stamped = all(found == stamp for found in facts.stamps) and not facts.null_stamps
    return [
        invariant(
            "staged_rows_equal_the_manifest",
            ok=not uneven,
            observed=_few(uneven) if uneven else f"{sum(facts.rows.values()):,} rows",
            expected=f"{manifest.rows_staged:,} rows, file by file",
            why="rows must not vanish",
        ),
        invariant(
            "every_row_names_this_model_and_run",
            ok=stamped,
            observed=f"{len(facts.stamps)} stamp(s)"
            + ("" if stamped else f", {facts.null_stamps} rows without a time or of another run"),
            expected=f"{model.name} v{model.version} ({model.digest[:12]}…), run {plan.run_key}",
            why="every published row names the exact model that made it",
            target=", ".join(STAMPS),
        ),
        invariant(
            "only_this_partition",
            ok=set(days) <= {plan.partition},
            observed=", ".join(str(day) for day in days) or "no row",
            expected=plan.partition.isoformat(),
            why="publishing replaces exactly one partition",
            target=plan.spec.partition.column,
        ),
        invariant(
            "keys_are_unique",
            ok=facts.repeated_keys == 0,
            observed=f"{facts.repeated_keys:,} repeated keys",
            expected="each key once",
            why="two scores for one key leave its reader to guess",
            target=", ".join(plan.spec.key),
        ),
    ]


def staged_columns(shapes: set[tuple[str, ...]], plan: Plan) -> CheckResult:
    """Check that every staged file has exactly the columns of the published table."""
    wanted = (*plan.spec.carried, *plan.spec.output.staged, *STAMPS)
    return invariant(
        "staged_columns_are_the_tables",
        ok=shapes == {wanted},
        observed=_few(", ".join(shape) for shape in sorted(shapes - {wanted})) or ", ".join(wanted),
        expected=", ".join(wanted),
        why="the published table has one fixed shape, every file alike",
    )


def shapes_of(files: Sequence[Path]) -> set[tuple[str, ...]]:
    """Return the different column lists that the staged files have, in order; whole files have one."""
    import pyarrow.parquet as pq

    return {tuple(pq.read_schema(file).names) for file in files}


def quoted(name: str) -> str:
    """Quote an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def _one(engine: duckdb.DuckDBPyConnection, query: str) -> int:
    row = engine.execute(query).fetchone()
    return int(row[0]) if row else 0


def _few(items: Iterable[str]) -> str:
    found = list(items)
    rest = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return "; ".join(found[:SHOWN]) + rest
