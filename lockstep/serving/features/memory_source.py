"""Features in this process: for tests, and for small tables that change with the configuration."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lockstep.serving.features.errors import FeatureSourceInvalid
from lockstep.serving.features.source import Fetched, Keys, aware, rows_of

Key = tuple[Any, ...]


@dataclass
class MemorySource:
    """A dictionary of features; see `FeatureSource`.

    Attributes:
        name: What messages call it.
        key: Key columns, in the order of the keys of its rows.
        names: Features that it has.
    """

    name: str
    key: tuple[str, ...]
    names: tuple[str, ...]
    _rows: dict[Key, Mapping[str, tuple[Any, dt.datetime | None]]] = field(default_factory=dict)

    def put(self, key: Key, values: Mapping[str, Any], *, event_time: dt.datetime | None) -> None:
        """Set features of a key, all at once."""
        moment = None if event_time is None else aware(event_time)
        before = self._rows.get(key, {})
        self._rows[key] = {**before, **{name: (value, moment) for name, value in values.items()}}

    async def get(self, keys: Keys, names: Sequence[str], *, deadline: float) -> Fetched:  # noqa: ARG002
        """Return features of keys; see `FeatureSource`."""
        if set(keys) != set(self.key):
            raise FeatureSourceInvalid(self.name, problem=f"expected the keys {', '.join(self.key)}")
        if unknown := [name for name in names if name not in self.names]:
            raise FeatureSourceInvalid(self.name, problem=f"has no feature {', '.join(unknown)}")
        asked = zip(*(keys[column] for column in self.key), strict=True) if rows_of(keys) else ()
        rows = [self._rows.get(key, {}) for key in asked]
        found = {name: [row.get(name, (None, None)) for row in rows] for name in names}
        values = {name: [value for value, _ in pairs] for name, pairs in found.items()}
        return Fetched(values, {name: [moment for _, moment in pairs] for name, pairs in found.items()})

    async def aclose(self) -> None:
        """Do nothing."""
