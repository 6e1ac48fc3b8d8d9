"""The `online:` section of a spec: published predictions that the endpoint looks up by key."""

from collections.abc import Sequence

from pydantic import Field

from lockstep.specs.fields import Identifier
from lockstep.specs.strict import Strict

DEFAULT_STORE = "default"


class Online(Strict):
    """What the publish step loads into an online store. It decides nothing of a run."""

    store: Identifier = Field(
        DEFAULT_STORE,
        description="'default' is where LOCKSTEP_ONLINE_STORE says, 'x' where LOCKSTEP_ONLINE_STORE_X does.",
    )
    key: tuple[Identifier, ...] = Field(
        (),
        description="Columns that are looked up by, unique per partition; none: the key without the day.",
    )
    columns: tuple[Identifier, ...] = Field((), description="Columns that are found; none: the published outputs.")
    keep_days: int = Field(1, ge=1, le=1_000, description="Newest published partitions that are kept.")

    def key_columns(self, key: Sequence[str], *, partition: str) -> tuple[str, ...]:
        """Return the columns that are looked up by, given the spec's key and partition column."""
        return self.key or tuple(name for name in key if name != partition)

    def problem(self, key: Sequence[str], partition: str, *, columns: Sequence[str]) -> str | None:
        """Return what of the rest of the spec it does not agree with, if anything.

        Args:
            key: The spec's key.
            partition: Its partition column.
            columns: All columns that are published.
        """
        wanted = self.key_columns(key, partition=partition)
        if not wanted:
            return f"'online.key' is needed: the key has nothing but the partition column {partition!r}"
        if partition in (*self.key, *self.columns):
            return f"'online' names the partition column {partition!r}: the day is no part of a lookup's key or result"
        for name in (*self.key, *self.columns):
            if name not in columns:
                return f"'online' names {name!r}, which is not published: {', '.join(columns)} are"
        twice = sorted({name for name in (*wanted, *self.columns) if (*wanted, *self.columns).count(name) > 1})
        if twice:
            return f"columns appear twice in the key and the columns of 'online': {', '.join(twice)}"
        return None
