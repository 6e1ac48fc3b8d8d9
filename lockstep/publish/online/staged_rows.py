"""From the published rows of a partition to the keys and bytes of an online store."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from lockstep.publish.online.contract import Maker, OnlineShape, types_text
from lockstep.publish.online.errors import OnlineRowsUnfit
from lockstep.publish.online.keys import EXPECTED, KeyColumn, key_kind, table_keys
from lockstep.publish.online.row_format import MOST_MAKERS, ColumnUnsupported, Makers, RowFormat, plain

STAMPS = tuple(Maker.model_fields)


@dataclass
class StagedRows:
    """The published rows of a partition; see `OnlineRows`.

    Attributes:
        read: Gives the rows, with their stamps; asked only if they are wanted.
        shape: What of them is kept.
        where: Table and partition, for messages.
        counted: How many rows there are, by the ledger.
    """

    read: Callable[[], ds.Dataset | pa.Table]
    shape: OnlineShape
    where: tuple[str, str]
    counted: int
    _makers: dict[tuple[object, ...], int] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """How many."""
        return self.counted

    @property
    def kinds(self) -> tuple[str, ...]:
        """What the values of the key's columns are."""
        return tuple(column.kind for column in self._key)

    @property
    def types(self) -> str:
        """Types of the columns."""
        return types_text(self._format.schema)

    @property
    def makers(self) -> tuple[Maker, ...]:
        """Who made the rows that were read so far."""
        return tuple(Maker.model_validate(dict(zip(STAMPS, stamps, strict=True))) for stamps in self._makers)

    def chunks(self, rows: int) -> Iterator[list[tuple[bytes, bytes]]]:
        """Yield key and bytes of each row, so many at a time.

        Raises:
            OnlineRowsUnfit: A column is missing, or of a type that cannot be kept.
        """
        if not self.counted:
            return
        read, wanted = 0, [*dict.fromkeys([*self.shape.key, *self._there, *STAMPS])]
        for batch in self._batches(wanted, rows):
            try:
                yield self._encoded(batch)
            except pa.ArrowException as error:  # its text may quote a value
                raise self._unfit("its key or columns have values that cannot be kept") from error
            except ValueError as error:
                raise self._unfit(str(error)) from error
            read += batch.num_rows
        if read != self.counted:
            raise self._unfit(f"{read} rows were read, and {self.counted} went live")

    def _encoded(self, batch: pa.RecordBatch) -> list[tuple[bytes, bytes]]:
        keys = table_keys([plain(batch.column(column.name)) for column in self._key], self._key)
        columns = [plain(batch.column(field.name)) for field in self._format.schema]
        return list(zip(keys, self._format.encode(columns, self._places(batch)), strict=True))

    def _batches(self, wanted: list[str], rows: int) -> Iterator[pa.RecordBatch]:
        names = [name for name in wanted if name in self._schema.names]
        if isinstance(self._source, pa.Table):
            yield from self._source.select(names).to_batches(max_chunksize=rows)
        else:
            yield from (b for b in self._source.to_batches(columns=names, batch_size=rows) if b.num_rows)

    @cached_property
    def _source(self) -> ds.Dataset | pa.Table:
        return self.read()

    @property
    def _schema(self) -> pa.Schema:
        return self._source.schema

    @property
    def _there(self) -> list[str]:
        """The wanted columns that there are: rows of an earlier run may lack some, which are null then."""
        return [name for name in self.shape.columns if name in self._schema.names]

    @cached_property
    def _key(self) -> tuple[KeyColumn, ...]:
        if not self.counted:
            return ()
        found = []
        for name in self.shape.key:
            if name not in self._schema.names:
                raise self._unfit(f"the rows have no column {name!r}, which is in its key")
            kind = key_kind(_plain_type(self._schema.field(name).type))
            if kind is None:
                kinds = ", ".join(EXPECTED.values())
                got = self._schema.field(name).type
                raise self._unfit(f"key column {name!r} is {got}; expected a column of {kinds}")
            found.append(KeyColumn(name, kind))
        return tuple(found)

    @cached_property
    def _format(self) -> RowFormat:
        there = [pa.field(name, _plain_type(self._schema.field(name).type)) for name in self._there]
        if self.counted and not there:
            raise self._unfit(f"the rows have none of the columns {', '.join(self.shape.columns)}")
        try:
            return RowFormat(pa.schema(there if self.counted else []))
        except ColumnUnsupported as error:
            raise self._unfit(str(error)) from error

    def _places(self, batch: pa.RecordBatch) -> Makers:
        """Return for each row the place of its maker, and remember makers that were not met before."""
        stamps = pa.table({name: plain(batch.column(name)) for name in STAMPS})
        distinct = stamps.group_by(list(STAMPS)).aggregate([]).to_pylist()
        for one in distinct:
            self._makers.setdefault(tuple(one[name] for name in STAMPS), len(self._makers))
        if len(self._makers) > MOST_MAKERS:
            raise ValueError(f"its rows were made by more than {MOST_MAKERS} runs")
        places = np.zeros(batch.num_rows, np.uint16)
        for one in distinct if len(distinct) > 1 else ():
            same = [pc.equal(stamps.column(name), pa.scalar(one[name])) for name in STAMPS]
            mask = same[0]
            for other in same[1:]:
                mask = pc.and_(mask, other)
            places[mask.to_numpy()] = self._makers[tuple(one[name] for name in STAMPS)]
        if len(distinct) == 1:
            places[:] = self._makers[tuple(distinct[0][name] for name in STAMPS)]
        return places

    def _unfit(self, problem: str) -> OnlineRowsUnfit:
        return OnlineRowsUnfit(self.where[0], partition=self.where[1], problem=problem)


def _plain_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind
