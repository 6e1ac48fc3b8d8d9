"""What the pages of a Parquet file hold once they are decoded, from their headers and without decoding one.

A file may say anything in its footer; what Arrow allocates is what the headers of the pages say
(https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift). They are in Thrift's compact
protocol, of which this reads as much as a page header uses.
"""

from dataclasses import dataclass
from typing import Any

# More than any writer makes of a request; each takes time to look at.
MOST_PAGES = 20_000
MOST_DEPTH = 4
MOST_FIELDS = 64
VARINT_BYTES = 10

# Types of the compact protocol.
TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY = range(1, 9)
STRUCT = 12
# Fields of PageHeader: size once decompressed, size in the file, and what describes a page of its kind.
DECOMPRESSED, COMPRESSED, DATA, DICTIONARY, DATA_V2 = 2, 3, 5, 7, 8
# Fields of these: how many values, nulls included, and their encoding.
VALUES = 1
ENCODING = {DATA: 2, DICTIONARY: 2, DATA_V2: 4}
# Each text as what it shares with the one before, so that a small page may decode to any size.
DELTA_BYTE_ARRAY = 7

Struct = dict[int, Any]


class PagesInvalid(Exception):
    """The pages are not as they should be; the message says how, without data."""


@dataclass(frozen=True)
class Pages:
    """What pages hold.

    Attributes:
        size_bytes: Once decompressed.
        values: With nulls; in a dictionary each is only a number.
        dictionary_bytes: Of these the dictionaries.
        count: How many pages there are.
    """

    size_bytes: int = 0
    values: int = 0
    dictionary_bytes: int = 0
    count: int = 0

    def __add__(self, other: "Pages") -> "Pages":
        """Return the sum."""
        return Pages(
            self.size_bytes + other.size_bytes,
            self.values + other.values,
            self.dictionary_bytes + other.dictionary_bytes,
            self.count + other.count,
        )


def measure_pages(body: memoryview, start: int, size: int) -> Pages:
    """Add up what the headers say of the pages of one column chunk.

    Args:
        body: The whole file.
        start: Where the first page begins.
        size: Bytes of all pages, as they are in the file.

    Raises:
        PagesInvalid: There are no such pages.
    """
    if not 0 <= start <= start + size <= len(body):
        raise PagesInvalid("pages are outside of the file")
    found, place = Pages(), start
    while place < start + size:
        header, place = _read_struct(body, place, depth=0)
        found += _page(header)
        place += _number(header, COMPRESSED)
        if found.count > MOST_PAGES:
            raise PagesInvalid(f"a column has more than {MOST_PAGES} pages")
    if place != start + size:
        raise PagesInvalid("a page ends beyond its column")
    return found


def _page(header: Struct) -> Pages:
    kind = next((kind for kind in ENCODING if kind in header), None)
    described = header.get(kind) if kind is not None else None
    if kind is None or not isinstance(described, dict):
        raise PagesInvalid("a page of an unknown kind")
    if _number(described, ENCODING[kind]) == DELTA_BYTE_ARRAY:
        raise PagesInvalid("texts are in the encoding DELTA_BYTE_ARRAY; write them with another one")
    size_bytes = _number(header, DECOMPRESSED)
    if kind == DICTIONARY:
        return Pages(size_bytes, dictionary_bytes=size_bytes, count=1)
    return Pages(size_bytes, _number(described, VALUES), count=1)


def _number(fields: Struct, field: int) -> int:
    value = fields.get(field)
    if not isinstance(value, int) or not 0 <= value < 2**31:
        raise PagesInvalid("a page header lacks a number or has one out of range")
    return value


def _read_struct(body: memoryview, place: int, *, depth: int) -> tuple[Struct, int]:
    """Read the fields of a struct; return them by number, and the place after them."""
    if depth > MOST_DEPTH:
        raise PagesInvalid("a page header is nested too deeply")
    fields: Struct = {}
    number = 0
    for _ in range(MOST_FIELDS):
        tag, place = _byte(body, place)
        if tag == 0:
            return fields, place
        if tag >> 4:
            number += tag >> 4
        else:
            zigzag, place = _varint(body, place)
            number = _signed(zigzag)
        fields[number], place = _read_value(body, place, tag & 15, depth=depth)
    raise PagesInvalid("a page header has too many fields")


def _read_value(body: memoryview, place: int, kind: int, *, depth: int) -> tuple[Any, int]:
    if kind in {TRUE, FALSE}:
        return kind == TRUE, place
    if kind in {I16, I32, I64}:
        zigzag, place = _varint(body, place)
        return _signed(zigzag), place
    if kind == STRUCT:
        return _read_struct(body, place, depth=depth + 1)
    if kind == BINARY:
        length, place = _varint(body, place)
    elif kind in {BYTE, DOUBLE}:
        length = 1 if kind == BYTE else 8
    else:
        raise PagesInvalid("a page header with a field of a kind that none has")
    if place + length > len(body):
        raise PagesInvalid("a page header is cut off")
    return None, place + length


def _byte(body: memoryview, place: int) -> tuple[int, int]:
    if place >= len(body):
        raise PagesInvalid("a page header is cut off")
    return body[place], place + 1


def _varint(body: memoryview, place: int) -> tuple[int, int]:
    value = 0
    for index in range(VARINT_BYTES):
        byte, place = _byte(body, place)
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, place
    raise PagesInvalid("a page header with a number that does not end")


def _signed(zigzag: int) -> int:
    return (zigzag >> 1) ^ -(zigzag & 1)
