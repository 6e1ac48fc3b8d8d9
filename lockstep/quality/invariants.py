"""What must hold for every run, whatever its suites say: the staged bytes are the whole, exact result of the plan."""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lockstep.quality.footers import constants
from lockstep.quality.numbers import side_by_side
from lockstep.quality.results import CheckResult
from lockstep.run.canary import Stamp
from lockstep.run.identity import file_sha256
from lockstep.run.manifest import Manifest
from lockstep.run.plan import Plan, ScoringInput
from lockstep.storage.files import Location, local_copy

STAMPS = ("model_name", "model_version", "model_digest", "run_key", "scored_at")
TEXTS = ("model_name", "model_digest", "run_key")
SHOWN = 3
# Rows looked at together.
GROUP_ROWS = 131_072


@dataclass(frozen=True)
class StagedFacts:
    """What the staged files say.

    Attributes:
        rows: Rows by file name.
        stamps: The distinct combinations of model name, version, digest and run key.
        partitions: The distinct partition values.
        null_stamps: Rows without a scoring time.
    """

    rows: dict[str, int]
    stamps: tuple[tuple[Any, ...], ...]
    partitions: tuple[Any, ...]
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


def unchanged_files(manifest: Manifest, root: Location) -> list[CheckResult]:
    """Check size and hash of every staged file against the manifest."""
    units = [(root / unit.staged, unit.size_bytes, unit.sha256) for unit in manifest.units]
    wrong = staged_problems(units)
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


def staged_problems(files: Sequence[tuple[Location, int, str]]) -> list[str]:
    """Say of each file that differs how; all cores hash.

    Args:
        files: Paths, sizes in bytes and sha256 of the manifest.
    """
    return [problem for problem in side_by_side(lambda facts: staged_problem(*facts), files) if problem]


def staged_problem(staged: Location, size_bytes: int, sha256: str) -> str | None:
    """Say how a staged file differs from its manifest entry, or return `None`."""
    try:
        path = local_copy(staged)
        size = path.stat().st_size
        if size != size_bytes:
            return f"{staged.name} has {size:,} bytes, not {size_bytes:,}"
        digest = file_sha256(path)
    except OSError as error:
        return f"{staged.name} cannot be read ({error.strerror})"
    return None if digest == sha256 else f"{staged.name} has sha256 {digest[:12]}…, not {sha256[:12]}…"


def read_stamps(files: Sequence[Path], *, partition_column: str) -> StagedFacts:
    """Read rows by file, stamps and partition values, a row group at a time and without a row leaving this module.

    Texts stay the dictionaries that they are on disk, so a column of one value costs a look at its run lengths.
    """
    known = constants(files, [partition_column])
    found = list(side_by_side(lambda file: _stamps_of(file, [] if known else [partition_column]), files))
    stamps = dict.fromkeys(stamp for one in found for stamp in one.stamps)
    partitions = dict.fromkeys([*known.values(), *(value for one in found for value in one.partitions)])
    rows = {name: count for one in found for name, count in one.rows.items()}
    return StagedFacts(rows, tuple(stamps), tuple(partitions), sum(one.null_stamps for one in found))


def _stamps_of(file: Path, further: Sequence[str]) -> StagedFacts:
    """Read a file; `further` is the column of partition values, unless all of them are known."""
    stamps: dict[tuple[Any, ...], None] = {}
    partitions: dict[Any, None] = {}
    null_times = 0
    with pq.ParquetFile(file, read_dictionary=list(TEXTS)) as opened:
        wanted = list(dict.fromkeys([*STAMPS, *further]))
        for batch in opened.iter_batches(batch_size=GROUP_ROWS, columns=wanted, use_threads=False):
            stamps.update(dict.fromkeys(_combinations([batch.column(name) for name in STAMPS[:-1]])))
            partitions.update(dict.fromkeys(value for name in further for value in _values(batch.column(name))))
            null_times += batch.column(STAMPS[-1]).null_count
        rows = {str(file): opened.metadata.num_rows}
    return StagedFacts(rows, tuple(stamps), tuple(partitions), null_times)


def _combinations(columns: Sequence[pa.Array]) -> list[tuple[Any, ...]]:
    """Return the different combinations of values; almost always one."""
    values = [_values(column) for column in columns]
    if all(len(found) == 1 for found in values):
        return [tuple(found[0] for found in values)]
    table = pa.table(
        [column.dictionary_decode() if _encoded(column) else column for column in columns], names=STAMPS[:-1]
    )
    found: list[tuple[Any, ...]] = [
        tuple(row.values()) for row in table.group_by(STAMPS[:-1]).aggregate([]).to_pylist()
    ]
    return found


def _values(column: pa.Array) -> list[Any]:
    found = pc.unique(column.dictionary_decode() if _several(column) else _entry(column)).to_pylist()
    return list(found)


def _encoded(column: pa.Array) -> bool:
    return isinstance(column, pa.DictionaryArray)


def _several(column: pa.Array) -> bool:
    return _encoded(column) and (len(column.dictionary) != 1 or column.null_count > 0)


def _entry(column: pa.Array) -> pa.Array:
    """Return a column, or of an encoded one without nulls its only entry."""
    return column.dictionary if _encoded(column) and len(column) else column


def staged_rows(
    facts: StagedFacts,
    plan: Plan,
    manifest: Manifest,
    *,
    root: Location,
    repeated_keys: int,
    challenger: Stamp | None = None,
) -> list[CheckResult]:
    """Check the staged rows against plan and manifest.

    Args:
        facts: What the staged files say.
        plan: What was to be done.
        manifest: What the scoring says that it did.
        root: The run folder.
        repeated_keys: Keys that more than one row has.
        challenger: Stamp of rows that another model made; none: there are no such rows.
    """
    counts = {str(local_copy(root / unit.staged)): unit.rows_staged for unit in manifest.units}
    uneven = [f"{Path(p).name}: {facts.rows.get(p)}, not {n}" for p, n in counts.items() if facts.rows.get(p) != n]
    days = tuple(day.date() if isinstance(day, dt.datetime) else day for day in facts.partitions)
    return [
        invariant(
            "staged_rows_equal_the_manifest",
            ok=not uneven,
            observed=_few(uneven) if uneven else f"{sum(facts.rows.values()):,} rows",
            expected=f"{manifest.rows_staged:,} rows, file by file",
            why="rows must not vanish",
        ),
        _stamped(facts, plan, challenger),
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
            ok=repeated_keys == 0,
            observed=f"{repeated_keys:,} repeated keys",
            expected="each key once",
            why="two scores for one key leave its reader to guess",
            target=", ".join(plan.spec.key),
        ),
    ]


def _stamped(facts: StagedFacts, plan: Plan, challenger: Stamp | None) -> CheckResult:
    model = plan.model
    stamps = [(model.name, model.version, model.digest, plan.run_key), *filter(None, [challenger])]
    ok = set(facts.stamps) <= set(stamps) and not facts.null_stamps
    names = (f"{name} v{version} ({digest[:12]}…), run {key}" for name, version, digest, key in stamps)
    return invariant(
        "every_row_names_this_model_and_run",
        ok=ok,
        observed=f"{len(facts.stamps)} stamp(s)"
        + ("" if ok else f", {facts.null_stamps} rows without a time or of another run"),
        expected=" or ".join(names),
        why="every published row names the exact model that made it",
        target=", ".join(STAMPS),
    )


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
    return {tuple(pq.read_schema(file).names) for file in files}


def _few(items: Iterable[str]) -> str:
    found = list(items)
    rest = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return "; ".join(found[:SHOWN]) + rest
