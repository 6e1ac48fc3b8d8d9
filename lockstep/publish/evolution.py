"""How the columns of a published table may change: columns are added and widened, nothing else."""

from collections.abc import Mapping, Set
from dataclasses import dataclass

from lockstep.errors import PublishError

# Type to the types that hold each of its values exactly.
Widenings = Mapping[str, Set[str]]


@dataclass(frozen=True)
class ColumnChanges:
    """What a publication changes in a table.

    Attributes:
        added: New columns with their types; rows that are there get nulls.
        widened: Columns with the wider type that they get.
    """

    added: Mapping[str, str]
    widened: Mapping[str, str]

    def sentences(self, existing: Mapping[str, str]) -> tuple[str, ...]:
        """Return one sentence a change."""
        added = [
            f"column {name} {kind} is added; rows of other partitions have nulls" for name, kind in self.added.items()
        ]
        widened = [f"column {name} becomes {kind}, it was {existing[name]}" for name, kind in self.widened.items()]
        return (*added, *widened)


def plan_changes(
    existing: Mapping[str, str], staged: Mapping[str, str], *, widenings: Widenings, table: str, may_lack: bool
) -> ColumnChanges:
    """Say how a table must change to take staged rows.

    Args:
        existing: Columns of the table with their types, as the warehouse names them.
        staged: Columns of the rows, likewise.
        widenings: Which types may become which.
        table: Name of the table, for the message.
        may_lack: Whether the rows may lack columns of the table (rows of an earlier run).

    Raises:
        PublishError: A column would be lost or change its type; names all of them.
    """
    added = {name: kind for name, kind in staged.items() if name not in existing}
    lacking = (
        [] if may_lack else [f"the table has {n} {existing[n]}, the rows do not" for n in existing if n not in staged]
    )
    widened, other = {}, []
    for name in (name for name in staged if name in existing and staged[name] != existing[name]):
        old, new = existing[name], staged[name]
        if new in widenings.get(old, ()):
            widened[name] = new
        elif old not in widenings.get(new, ()):  # otherwise the rows' narrower values fit as they are
            other.append(f"column {name}: expected {old}, got {new}")
    if lacking or other:
        raise PublishError(
            f"table {table} has another shape than the rows of this run: {'; '.join([*lacking, *other])}. "
            "Nothing was published and what was live stays. Columns may be added and widened, not dropped or changed: "
            "publish to another table (publish.table in the spec) or alter this one by hand."
        )
    return ColumnChanges(added=added, widened=widened)
