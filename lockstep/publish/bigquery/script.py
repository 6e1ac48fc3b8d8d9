"""The scripts that change what is live, each one job and one transaction.

BigQuery isolates transactions by snapshots, and cancels one of two that change rows of one table. Each script changes
the row of a lock first, so that no two of them commit from one state, whatever else they do. Then it asserts that the
ledger and the partition are still as they were when the decision to publish was made; `MOVED` says they are not. A
script that ends before its COMMIT, for whatever reason, has changed nothing.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lockstep.publish.bigquery.connection import Dataset, quoted
from lockstep.publish.sql.ledger import CLAIMS, CLAIMS_LOCK, COLUMNS, LEDGER, LEDGER_LOCK

MOVED = "lockstep: another run was planned or published meanwhile"
MISCOUNTED = "lockstep: the partition would have another number of rows than the manifest"
TYPES = {"BIGINT": "INT64", "VARCHAR": "STRING", "DATE": "DATE", "TIMESTAMPTZ": "TIMESTAMP"}
LEDGER_TYPES = {name: TYPES[kind] for name, kind, _ in COLUMNS}
CLAIM_TYPES = {
    "table_name": "STRING",
    "partition_date": "DATE",
    "token": "INT64",
    "run_key": "STRING",
    "claimed_at": "TIMESTAMP",
}
# What the statements ask beside the columns of ledger and claims.
ASKED_TYPES = {"seen": "INT64", "there": "INT64", "expected": "INT64"}
PARAMETER_TYPES = {**LEDGER_TYPES, **CLAIM_TYPES, **ASKED_TYPES}


@dataclass(frozen=True)
class Script:
    """Statements with `@p_name` for each of the parameters, whose types are those of `PARAMETER_TYPES`."""

    text: str
    parameters: Mapping[str, object]

    def job_id(self, attempt: int) -> str:
        """Return the name of its job: the same script has the same, so that sending it twice runs it once."""
        facts = repr((self.text, sorted(self.parameters.items()), attempt))
        return f"lockstep_{hashlib.sha256(facts.encode()).hexdigest()[:40]}"


@dataclass(frozen=True)
class Replacement:
    """What a publication does to the published table.

    Attributes:
        table: Its name.
        partition_column: Its date column.
        there: Rows of the partition when that was looked at.
        staged: Tables with the new rows; none: there are no new rows.
        columns: Columns of the new rows.
        rows: How many they are.
    """

    table: str
    partition_column: str
    there: int
    staged: Sequence[str]
    columns: Sequence[str]
    rows: int


def claim_script(dataset: Dataset, claim: Mapping[str, object]) -> Script:
    """Record a claim, provided that its token is the next one of its partition.

    Args:
        dataset: Where the claims are.
        claim: The columns of `CLAIM_TYPES`.
    """
    claims = dataset.quoted(CLAIMS)
    newest = f"SELECT COALESCE(MAX(token), 0) + 1 FROM {claims} WHERE {_OF_PARTITION}"  # noqa: S608 - quoted
    insert = f"INSERT INTO {claims} ({_names(CLAIM_TYPES)}) VALUES ({_marks(CLAIM_TYPES)})"  # noqa: S608
    return Script(_transaction(_lock(dataset, CLAIMS_LOCK), _assert(newest, "token", MOVED), insert), dict(claim))


def publish_script(
    dataset: Dataset, facts: Mapping[str, object], *, seen: int, replacement: Replacement | None
) -> Script:
    """Replace a partition and add the ledger's entry, provided that the state is still the one that was looked at.

    Args:
        dataset: Where the tables are.
        facts: The entry: the columns of `LEDGER_TYPES`.
        seen: Number of the newest entry of the partition when that was looked at.
        replacement: New rows; none: the rows stay (a no-op, or there is no table yet and nothing to put in it).
    """
    newest = f"SELECT COALESCE(MAX(entry), 0) FROM {dataset.quoted(LEDGER)} WHERE {_OF_PARTITION}"  # noqa: S608
    change = _replace(dataset, replacement) if replacement else ()
    statements = (_lock(dataset, LEDGER_LOCK), _assert(newest, "seen", MOVED), *change, _append(dataset))
    asked: dict[str, object] = {"seen": seen}
    if replacement:
        asked |= {"there": replacement.there, "expected": replacement.rows}
    return Script(_transaction(*statements), {**facts, **asked})


def append_script(dataset: Dataset, facts: Mapping[str, object]) -> Script:
    """Add an entry to the ledger, whatever its state."""
    return Script(_transaction(_lock(dataset, LEDGER_LOCK), _append(dataset)), dict(facts))


_OF_PARTITION = "table_name = @p_table_name AND partition_date = @p_partition_date"


def _replace(dataset: Dataset, new: Replacement) -> tuple[str, ...]:
    table, where = dataset.quoted(new.table), f"{quoted(new.partition_column)} = @p_partition_date"
    count = f"SELECT COUNT(*) FROM {table} WHERE {where}"  # noqa: S608 - quoted
    statements = [_assert(count, "there", MOVED), f"DELETE FROM {table} WHERE {where}"]  # noqa: S608 - quoted
    if new.staged:
        names = ", ".join(quoted(name) for name in new.columns)
        rows = " UNION ALL ".join(f"SELECT {names} FROM {dataset.quoted(name)}" for name in new.staged)  # noqa: S608
        statements.append(f"INSERT INTO {table} ({names}) {rows}")
    return (*statements, _assert(count, "expected", MISCOUNTED))


def _transaction(*statements: str) -> str:
    return "".join(f"{one};\n" for one in ("BEGIN TRANSACTION", *statements, "COMMIT TRANSACTION"))


def _lock(dataset: Dataset, name: str) -> str:
    return f"UPDATE {dataset.quoted(name)} SET held = 1 - held WHERE TRUE"  # noqa: S608 - constants


def _assert(query: str, parameter: str, message: str) -> str:
    return f"IF ({query}) <> @p_{parameter} THEN\n  RAISE USING MESSAGE = '{message}';\nEND IF"


def _append(dataset: Dataset) -> str:
    ledger = dataset.quoted(LEDGER)
    chosen = f"SELECT COALESCE(MAX(entry), 0) + 1, {_marks(LEDGER_TYPES)} FROM {ledger}"  # noqa: S608 - constants
    return f"INSERT INTO {ledger} (`entry`, {_names(LEDGER_TYPES)}) {chosen}"


def _names(columns: Mapping[str, str]) -> str:
    return ", ".join(quoted(name) for name in columns)


def _marks(columns: Mapping[str, str]) -> str:
    return ", ".join(f"@p_{name}" for name in columns)
