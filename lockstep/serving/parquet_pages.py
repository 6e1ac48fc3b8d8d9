"""What the columns of a Parquet file decode to at most, found without decoding one.

A file may say anything in its footer; what Arrow allocates is what the headers of the pages say, so these are added up.
Footer and headers are read here and not by pyarrow, whose objects for row groups and column chunks end the process when
a file is damaged. Names and numbers of fields are those of
https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from lockstep.serving.thrift import I32, I64, STRUCT, CompactReader, Struct, ThriftInvalid

MAGIC = b"PAR1"
TAIL_BYTES = 8
# Enough for thousands of columns; parsed it takes hundreds of times as much.
FOOTER_BYTES = 2**20
# More pages than any writer makes of a request; each takes time to look at.
MOST_PAGES = 20_000

# FileMetaData, RowGroup, ColumnChunk, ColumnMetaData
ROW_GROUPS = 4
COLUMNS, GROUP_ROWS = 1, 3
META_DATA = 3
COMPRESSED_SIZE, DATA_PAGE, DICTIONARY_PAGE = 7, 9, 11
# PageHeader: size once decompressed, size in the file, what describes a page of its kind; of that values and encoding.
PAGE_DECOMPRESSED, PAGE_COMPRESSED, DATA, DICTIONARY, DATA_V2 = 2, 3, 5, 7, 8
VALUES = 1
ENCODING = {DATA: 2, DICTIONARY: 2, DATA_V2: 4}
# Each text as what it shares with the one before, so that a small page may decode to any size.
DELTA_BYTE_ARRAY = 7


class FileDamaged(Exception):
    """A file is not as it should be; the message says how, without data."""


@dataclass(frozen=True)
class Pages:
    """What the pages of a column chunk hold.

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


@dataclass(frozen=True)
class RowGroup:
    """A part of a file.

    Attributes:
        rows: As declared.
        chunks: Of each leaf column where its pages begin, and their size in the file.
    """

    rows: int
    chunks: tuple[tuple[int, int], ...]


def read_footer(body: bytes) -> list[RowGroup]:
    """Read where the columns of a file are.

    Raises:
        FileDamaged: It is no Parquet file.
    """
    if len(body) < len(MAGIC) + TAIL_BYTES or not body.startswith(MAGIC) or not body.endswith(MAGIC):
        raise FileDamaged("it does not begin and end with PAR1")
    length = int.from_bytes(body[-TAIL_BYTES : -len(MAGIC)], "little")
    if length > FOOTER_BYTES:
        raise FileDamaged(f"its footer is longer than {FOOTER_BYTES} bytes")
    start = len(body) - TAIL_BYTES - length
    if start < len(MAGIC):
        raise FileDamaged("its footer is longer than the file")
    try:
        footer = CompactReader(memoryview(body)[start:-TAIL_BYTES]).struct()
        return [_row_group(group) for group in footer.structs(ROW_GROUPS)]
    except ThriftInvalid as error:
        raise FileDamaged(f"its footer: {error}") from error


def _row_group(group: Struct) -> RowGroup:
    return RowGroup(group.number(GROUP_ROWS, I64), tuple(_chunk(chunk) for chunk in group.structs(COLUMNS)))


def _chunk(chunk: Struct) -> tuple[int, int]:
    described = chunk.get(META_DATA, STRUCT)
    if described is None:
        raise ThriftInvalid("a column chunk is not described")
    start, size = described.number(DATA_PAGE, I64), described.number(COMPRESSED_SIZE, I64)
    dictionary = described.get(DICTIONARY_PAGE, I64)
    # As Arrow has it: writers put 0 there for none.
    return (dictionary if dictionary is not None and 0 < dictionary < start else start), size


def measure_pages(body: bytes, start: int, size: int) -> Pages:
    """Add up what the headers say of the pages of one column chunk.

    Args:
        body: The whole file.
        start: Where the first page begins.
        size: Bytes of all pages, as they are in the file.

    Raises:
        FileDamaged: There are no such pages.
    """
    if start + size > len(body):
        raise FileDamaged("pages are outside of the file")
    found = Pages()
    try:
        for page in _pages(memoryview(body)[: start + size], start):
            found += page
            if found.count > MOST_PAGES:
                raise FileDamaged(f"a column has more than {MOST_PAGES} pages")
    except ThriftInvalid as error:
        raise FileDamaged(f"a page header: {error}") from error
    return found


def _pages(data: memoryview, place: int) -> Iterator[Pages]:
    reader = CompactReader(data, place)
    while reader.place < len(data):
        header = reader.struct()
        yield _page(header)
        reader.place += header.number(PAGE_COMPRESSED, I32)
    if reader.place != len(data):
        raise FileDamaged("a page ends beyond its column")


def _page(header: Struct) -> Pages:
    kinds = [kind for kind in ENCODING if kind in header.fields]
    described = header.get(kinds[0], STRUCT) if len(kinds) == 1 else None
    if described is None:
        raise FileDamaged("a page of an unknown kind")
    size_bytes = _number(header, PAGE_DECOMPRESSED)
    if kinds[0] == DICTIONARY:
        return Pages(size_bytes, dictionary_bytes=size_bytes, count=1)
    if described.number(ENCODING[kinds[0]], I32) == DELTA_BYTE_ARRAY:
        raise FileDamaged("texts are in the encoding DELTA_BYTE_ARRAY; write them with another one")
    return Pages(size_bytes, _number(described, VALUES), count=1)


def _number(described: Struct, field: int) -> int:
    value = described.number(field, I32)
    if value >= 2**31:
        raise ThriftInvalid("a number is out of range")
    return value
