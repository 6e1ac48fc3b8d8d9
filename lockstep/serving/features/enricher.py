"""Makes the rows that a model takes of the rows that a request brings."""

import datetime as dt
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from lockstep.errors import RequestInvalid
from lockstep.scoring.signature import ARROW_TYPES, Signature
from lockstep.serving.columns import read_column
from lockstep.serving.features.enrichment import BoundSource, enrich
from lockstep.serving.features.errors import FeatureSourceInvalid
from lockstep.serving.features.policy import Enrichment
from lockstep.serving.rows import VALUE_BYTES, PlainRows, Rows, Values

# Told of each feature how many rows had it in which state, and what was used of it: name, state, use, rows.
Told = Callable[[str, str, str, int], None]


class Enricher:
    """Fills in the inputs of one version.

    Args:
        bound: Sources, and what of them is used.
        asked: What requests bring.
        wanted: What the model takes.
        slo_s: The time that a request has unless it says less.
        tell: Told what was used.

    Attributes:
        asked: As given.
    """

    def __init__(
        self,
        bound: Sequence[BoundSource],
        *,
        asked: Signature,
        wanted: Signature,
        slo_s: float,
        tell: Told | None = None,
    ) -> None:
        self.asked = asked
        self._bound = bound
        self._wanted = wanted
        self._slo_s = slo_s
        self._tell = tell
        used = {column for one in bound for column in one.keys.values()}
        self._keys = {name: place for place, name in enumerate(asked.names) if name in used}

    async def fill(self, rows: Rows, *, expires: float) -> Rows:
        """Look up what a request does not bring.

        Args:
            rows: Checked rows of `asked`.
            expires: When nobody waits for the answer any more, by `time.monotonic`.

        Returns:
            Checked rows of `wanted`.

        Raises:
            FeatureSourceUnavailable: A source gave no answer, and a feature of it may not be done without.
            FeaturesRefused: Features of some rows are missing or too old.
            FeatureSourceInvalid: A source cannot work, or gave a value that the model does not take.
        """
        keys = {name: _plain(rows, place) for name, place in self._keys.items()}
        deadline = min(expires, time.monotonic() + self._slo_s)
        found = await enrich(self._bound, keys, deadline=deadline, now=dt.datetime.now(dt.UTC))
        self._count(found)
        found.raise_if_rejected()
        return self._completed(rows, found.columns)

    def _count(self, found: Enrichment) -> None:
        if self._tell is None:
            return
        for name, used in found.features.items():
            for (state, use), count in Counter(zip(used.states, used.uses, strict=True)).items():
                self._tell(name, state, use, count)

    def _completed(self, rows: Rows, filled: Mapping[str, Sequence[Any]]) -> Rows:
        checked = {name: self._checked(name, values) for name, values in filled.items()}
        if isinstance(rows, PlainRows):
            given = dict(zip(self.asked.names, rows.columns, strict=True))
            columns = tuple(checked[name] if name in checked else given[name] for name in self._wanted.names)
            return PlainRows(columns, rows.num_rows, rows.nbytes + VALUE_BYTES * rows.num_rows * len(checked))
        arrays = [
            pa.array(checked[column.name], ARROW_TYPES[column.dtype], from_pandas=True)
            if column.name in checked
            else rows.column(column.name)
            for column in self._wanted.inputs
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=self._wanted.schema)

    def _checked(self, name: str, values: Sequence[Any]) -> Values:
        """Return the values of a feature as the model's type; whole numbers of a source may be floats."""
        try:
            return read_column(self._wanted.inputs_by_name[name], list(values))
        except RequestInvalid as error:
            source = next(one.source.name for one in self._bound if name in one.features)
            raise FeatureSourceInvalid(source, problem=f"its values do not fit the model: {error}") from error


def _plain(rows: Rows, place: int) -> list[Any]:
    return list(rows.columns[place]) if isinstance(rows, PlainRows) else rows.column(place).to_pylist()
