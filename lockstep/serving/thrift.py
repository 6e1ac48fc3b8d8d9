"""Structs in Thrift's compact protocol, as Parquet writes its metadata.

Read here as strictly as the generated readers of Arrow, and stricter where these are lenient, so that both see the same
(https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md).
"""

from dataclasses import dataclass
from typing import Any

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST = range(1, 10)
STRUCT = 12
INTEGERS = frozenset({I16, I32, I64})
FIXED_BYTES = {BYTE: 1, DOUBLE: 8}

MOST_DEPTH = 10
MOST_FIELD = 1000
MOST_VALUES = 1_000_000
VARINT_BYTES = 10
LONG_LIST = 15


class ThriftInvalid(Exception):
    """The bytes are no struct; the message says how, without data."""


@dataclass(frozen=True, slots=True)
class Struct:
    """Fields by their number: the type of each, and a number, a truth, bytes, a list or a struct."""

    fields: dict[int, tuple[int, Any]]

    def number(self, field: int, kind: int) -> int:
        """Return a number that must be there, and not be negative."""
        found = self.get(field, kind)
        if found is None or not 0 <= found < 2**63:
            raise ThriftInvalid("a number is missing or out of range")
        return int(found)

    def get(self, field: int, kind: int) -> Any:
        """Return the value of a field; none when it is not there, or of another type."""
        given, value = self.fields.get(field, (kind, None))
        return value if given == kind else None

    def structs(self, field: int) -> "list[Struct]":
        """Return the structs of a list that must be there."""
        found = self.get(field, LIST)
        if found is None or not all(isinstance(item, Struct) for item in found):
            raise ThriftInvalid("a list of structs is missing")
        return list(found)


class CompactReader:
    """Reads one struct after the other.

    Attributes:
        place: Where the next one begins.
    """

    def __init__(self, data: memoryview, place: int = 0) -> None:
        self._data = data
        self._values = 0
        self.place = place

    def struct(self, depth: int = 0) -> Struct:
        """Read a struct.

        Raises:
            ThriftInvalid: There is none.
        """
        if depth > MOST_DEPTH:
            raise ThriftInvalid("nested too deeply")
        fields: dict[int, tuple[int, Any]] = {}
        number = 0
        while tag := self._byte():
            number = number + (tag >> 4) if tag >> 4 else self._signed()
            if not 0 < number <= MOST_FIELD or number in fields:
                raise ThriftInvalid("a field has no number of its own")
            kind = tag & 15
            fields[number] = (kind, kind == TRUE) if kind in {TRUE, FALSE} else (kind, self._value(kind, depth))
        return Struct(fields)

    def _value(self, kind: int, depth: int) -> Any:
        self._values += 1
        if self._values > MOST_VALUES:
            raise ThriftInvalid("too many values")
        if kind in INTEGERS:
            return self._signed()
        if kind == BINARY:
            return self._take(self._varint())
        if kind == STRUCT:
            return self.struct(depth + 1)
        if kind == LIST:
            return self._list(depth + 1)
        if kind in FIXED_BYTES:
            return self._take(FIXED_BYTES[kind])
        raise ThriftInvalid("a value of a kind that there is not")

    def _list(self, depth: int) -> list[Any]:
        if depth > MOST_DEPTH:
            raise ThriftInvalid("nested too deeply")
        head = self._byte()
        kind, size = head & 15, head >> 4
        if size == LONG_LIST:
            size = self._varint()
        if kind in {TRUE, FALSE}:
            kind = BYTE  # one byte each, unlike as a field
        if size > len(self._data) - self.place:
            raise ThriftInvalid("a list is longer than the data")
        return [self._value(kind, depth) for _ in range(size)]

    def _byte(self) -> int:
        return self._take(1)[0]

    def _take(self, size: int) -> memoryview:
        if size > len(self._data) - self.place:
            raise ThriftInvalid("cut off")
        self.place += size
        return self._data[self.place - size : self.place]

    def _varint(self) -> int:
        value = 0
        for index in range(VARINT_BYTES):
            byte = self._byte()
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                return value
        raise ThriftInvalid("a number does not end")

    def _signed(self) -> int:
        zigzag = self._varint()
        return (zigzag >> 1) ^ -(zigzag & 1)
