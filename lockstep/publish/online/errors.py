"""What can go wrong with an online store; whatever it is, what is live in the warehouse stays.

PublishError
└── OnlineStoreError
    ├── OnlineStoreUnavailable   (retryable) it cannot be opened, reached, read or written
    ├── OnlineStoreBehind        (retryable or not) the rows are live, and not in the store
    ├── OnlineRowsUnfit          these rows cannot be looked up by this key
    ├── NewerOnline              it has rows of a run that was planned later
    ├── LedgerBehind             ... and the ledger does not know that run
    └── OtherWarehouse           it has rows of a table of the same name in another warehouse
"""

import datetime as dt
from collections.abc import Mapping, Sequence

from lockstep.errors import EnvironmentFault, PublishError


class OnlineStoreError(PublishError):
    """An online store was not loaded; the publication in the warehouse stays."""

    code = "LS8011"


class OnlineClientMissing(EnvironmentFault):
    """The client of a kind of store is not installed."""

    code = "LS4014"

    def __init__(self, kind: str, *, module: str) -> None:
        super().__init__(
            f"online store {kind} needs the package {module}, which is not installed in this environment. "
            f"Install it with: pip install {module}"
        )


class OnlineStoreUnavailable(OnlineStoreError):
    """The store cannot be opened, reached, read or written."""

    code = "LS8012"
    retryable = True

    def __init__(self, location: str, *, reason: str) -> None:
        super().__init__(f"online store {location} cannot be used: {reason}")


class OnlineStoreBehind(OnlineStoreError):
    """Rows are live in the warehouse, and the store could not be loaded with them."""

    code = "LS8013"

    def __init__(self, table: str, *, location: str, reasons: Mapping[str, str], retryable: bool) -> None:
        self.retryable = retryable
        lines = "\n".join(f"  {partition}: {reason}" for partition, reason in reasons.items())
        advice = (
            "Run the same command again: it only loads the store."
            if retryable
            else "Mend that, and load the store with `lockstep online sync`."
        )
        super().__init__(
            f"table {table} is live in the warehouse as it should be, and the online store {location} is behind:\n"
            f"{lines}\nThe publication stays. {advice}"
        )


class OnlineRowsUnfit(OnlineStoreError):
    """The rows of a partition cannot be looked up by the key that the spec names."""

    code = "LS8014"

    def __init__(self, table: str, *, partition: str, problem: str) -> None:
        super().__init__(
            f"partition {partition} of {table} cannot be looked up online: {problem}. Change 'online' in the spec"
        )


class NewerOnline(OnlineStoreError):
    """The store has, or had, rows of this partition by a run that was planned later."""

    code = "LS8015"

    def __init__(self, table: str, *, partition: str, token: int, newest: int) -> None:
        super().__init__(
            f"partition {partition} of {table} was not loaded into the online store: the fencing token is {token}, and "
            f"rows of a run planned later (token {newest}) were loaded before. What the store has stays"
        )


class LedgerBehind(OnlineStoreError):
    """The store has rows of a run that was planned later than all that the ledger knows."""

    code = "LS8016"

    def __init__(self, table: str, *, partition: str, token: int) -> None:
        super().__init__(
            f"partition {partition} of {table} has the token {token} in the ledger, and the online store has rows with "
            "a later one: the warehouse was replaced, or restored from a backup. What the store has stays. To forget "
            "it, use `lockstep online drop`"
        )


class OtherWarehouse(OnlineStoreError):
    """A table of this name, of another warehouse, is in the store; its tokens cannot be compared."""

    code = "LS8017"

    def __init__(self, table: str, *, expected: str, got: str) -> None:
        super().__init__(
            f"table {table} in the online store is that of warehouse {got}, and this one is in {expected}. If it "
            "moved, forget the old one with `lockstep online drop` and load anew with `lockstep online sync`"
        )


def repeated_keys(table: str, partition: dt.date, key: Sequence[str]) -> OnlineRowsUnfit:
    """Return the error of rows that share their key."""
    problem = f"several of its rows have the same {', '.join(key)}"
    return OnlineRowsUnfit(table, partition=partition.isoformat(), problem=problem)
