"""Which entities a trial's challenger answers for: a sticky split of rows by the values of named columns.

A row's *position* is a number in [0, 1) that depends on the salt and on the values of the columns, and on nothing
else: not on the day, the batch, the order, or how wide a type holds a value. A row is in the arm of a fraction when its
position lies below it, so whoever is in at 5 % is in at 20 %. The same function splits a table and routes a request.

Version 1, so that another program can compute it. All arithmetic is modulo 2**64.

    mix(x)    splitmix64: x += 0x9E3779B97F4A7C15; x = (x ^ x>>30) * 0xBF58476D1CE4E5B9;
              x = (x ^ x>>27) * 0x94D049BB133111EB; x ^ x>>31
    text(b)   blake2b of the bytes b, 8 bytes of digest, read as a little-endian number

    value              its hash
    null, NaN          mix(N)                     N, I, B, T: the ASCII letter
    whole number       mix(v ^ I<<56)             two's complement; also 5.0 of any type, which is 5
    boolean            mix(v ^ B<<56)
    moment             mix(t ^ T<<56)             microseconds since 1970 UTC; one without a zone is taken as UTC
    text               text("s" + UTF-8)
    day                text("s" + ISO date)       as the text that JSON has for it
    other number       text("n" + shortest decimal that reads back as the number, as Python writes it)
    bytes              text("y" + bytes)

    row       h = text("a" + salt); for each column in the order named: h = mix(h ^ hash of its value)
    position  (h >> 11) / 2**53
"""

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from hashlib import blake2b

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lockstep.errors import ColumnMissing, ColumnTypeMismatch
from lockstep.scoring.backends import Floats

VERSION = 1
Hashes = npt.NDArray[np.uint64]

_ALL = (1 << 64) - 1
_STEP, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_WHOLE, _TRUTH, _MOMENT = (ord(letter) << 56 for letter in "IBT")
_LEAST_WHOLE, _END_WHOLE = -(1 << 63), 1 << 63
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)
_REFUSED = (pa.types.is_nested, pa.types.is_time, pa.types.is_duration, pa.types.is_interval)
_KINDS = "texts, numbers, booleans, days, moments or bytes"


def salt_of(spec: str, digest: str) -> str:
    """Return the salt of a trial: one challenger of one spec, whatever its alias or version number is.

    Args:
        spec: Name of the spec.
        digest: Digest of the challenger's artifact. Another one is another trial, with its rows drawn anew.
    """
    return json.dumps(["lockstep.arms", VERSION, spec, digest], separators=(",", ":"))


@dataclass(frozen=True)
class Split:
    """A sticky split of rows.

    Attributes:
        salt: What tells this split from others (see `salt_of`).
        by: Columns whose values stay together, in this order.
    """

    salt: str
    by: tuple[str, ...]

    def positions(self, rows: pa.RecordBatch | pa.Table) -> Floats:
        """Return the position of each row.

        Args:
            rows: With at least the columns of the split.

        Returns:
            `(rows,) float64` in [0, 1).

        Raises:
            ColumnMissing: A column is not there.
            ColumnTypeMismatch: A column holds lists or structs.
        """
        found = np.full(rows.num_rows, _text(b"a", self.salt.encode()), np.uint64)
        for name in self.by:
            _require(name, rows.schema.names)
            found = _mixed(found ^ _hashes(rows.column(name), name))
        positions: Floats = (found >> np.uint64(11)).astype(np.float64) * 2.0**-53
        return positions

    def position(self, row: Mapping[str, object]) -> float:
        """Return the position of one row given as plain values; it equals that of `positions`.

        A text is a text: what is a moment in the table must be a `datetime` here, while a day may be its ISO text.
        """
        found = _text(b"a", self.salt.encode())
        for name in self.by:
            _require(name, row)
            found = _mix(found ^ _hash(row[name], name))
        return (found >> 11) * 2.0**-53


def _require(name: str, names: "Mapping[str, object] | list[str]") -> None:
    if name not in names:
        raise ColumnMissing(name, where="the rows to split into arms", expected="a column of the split", got=[*names])


def _mix(x: int) -> int:
    x = (x + _STEP) & _ALL
    x = ((x ^ x >> 30) * _FIRST) & _ALL
    x = ((x ^ x >> 27) * _SECOND) & _ALL
    return x ^ x >> 31


def _mixed(x: Hashes) -> Hashes:
    x = x + np.uint64(_STEP)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(_FIRST)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(_SECOND)
    mixed: Hashes = x ^ (x >> np.uint64(31))
    return mixed


_NULL = _mix(ord("N"))


def _text(kind: bytes, value: bytes) -> int:
    return int.from_bytes(blake2b(kind + value, digest_size=8).digest(), "little")


def _hash(value: object, name: str) -> int:  # noqa: PLR0911 - a line for each kind of value
    """Return the hash of one value."""
    if isinstance(value, np.floating) and value != np.trunc(value):
        value = float(str(value))  # the shortest text of its own width
    elif isinstance(value, np.generic):
        value = value.item()
    match value:
        case None:
            return _NULL
        case bool():
            return _mix(int(value) ^ _TRUTH)
        case int() | float() | Decimal():
            return _hash_number(value)
        case str():
            return _text(b"s", value.encode("utf-8", "surrogatepass"))
        case dt.datetime():
            moment = value if value.tzinfo else value.replace(tzinfo=dt.UTC)
            return _mix(((moment - _EPOCH) // _MICROSECOND) & _ALL ^ _MOMENT)
        case dt.date():
            return _text(b"s", value.isoformat().encode())
        case bytes():
            return _text(b"y", value)
    raise _unsplittable(name, type(value).__name__)


def _hash_number(value: int | float | Decimal) -> int:
    if value != value:  # noqa: PLR0124 - NaN, which stands for null in frames
        return _NULL
    finite = isinstance(value, int) or abs(value) != float("inf")
    if finite and value == (whole := int(value)):
        if _LEAST_WHOLE <= whole < _END_WHOLE:
            return _mix(whole & _ALL ^ _WHOLE)
        return _text(b"n", str(whole).encode())
    return _text(b"n", repr(float(value)).encode())


def _hashes(column: pa.Array | pa.ChunkedArray, name: str) -> Hashes:
    """Return the hashes of a column's values."""
    if isinstance(column, pa.ChunkedArray):
        return np.concatenate([np.empty(0, np.uint64), *(_hashes(chunk, name) for chunk in column.chunks)])
    kind = column.type
    if pa.types.is_null(kind):
        column, kind = column.cast(pa.int64()), pa.int64()
    if pa.types.is_boolean(kind):
        return _of_integers(column.cast(pa.uint8()), _TRUTH)
    if pa.types.is_integer(kind) and not pa.types.is_uint64(kind):
        return _of_integers(column, _WHOLE)
    if pa.types.is_timestamp(kind):
        return _of_integers(column.cast(pa.timestamp("us", kind.tz), safe=False).cast(pa.int64()), _MOMENT)
    if pa.types.is_floating(kind):
        return _of_floats(column, name)
    if not pa.types.is_dictionary(kind):
        if any(refused(kind) for refused in _REFUSED):
            raise _unsplittable(name, str(kind))
        column = column.dictionary_encode()
    return _of_entries(column, name)


def _of_integers(column: pa.Array, tag: int) -> Hashes:
    values = column.cast(pa.int64())
    known = values.fill_null(0).to_numpy().view(np.uint64)
    return _with_nulls(_mixed(known ^ np.uint64(tag)), values)


def _of_floats(column: pa.Array, name: str) -> Hashes:
    """Return the hashes of floats: whole ones like integers, each other different number once."""
    values = column.to_numpy(zero_copy_only=False)
    with np.errstate(invalid="ignore"):
        whole = (np.trunc(values) == values) & (values >= _LEAST_WHOLE) & (values < _END_WHOLE)
        numbers = np.where(whole, values, 0).astype(np.int64)
    hashes = _mixed(numbers.view(np.uint64) ^ np.uint64(_WHOLE))
    others, places = np.unique(values[~whole], return_inverse=True)
    hashes[~whole] = np.array([_hash(value, name) for value in others], np.uint64)[places]
    return _with_nulls(hashes, column)


def _of_entries(column: pa.DictionaryArray, name: str) -> Hashes:
    """Return the hashes of a column of entries, each of which is hashed once."""
    entries = column.dictionary
    if pa.types.is_date(entries.type):
        entries = entries.cast(pa.date32()).cast(pa.string())
    if _is_text(entries.type):
        each = [
            _text(b"s", text) if text is not None else _NULL for text in entries.cast(pa.large_binary()).to_pylist()
        ]
        hashes = np.array(each, np.uint64)
    elif pa.types.is_decimal(entries.type) or _is_bytes(entries.type) or pa.types.is_uint64(entries.type):
        hashes = np.array([_hash(value, name) for value in entries.to_pylist()], np.uint64)
    else:
        hashes = _hashes(entries, name)
    if not len(hashes):
        return np.full(len(column), _NULL, np.uint64)
    return _with_nulls(hashes[column.indices.fill_null(0).to_numpy()], column.indices)


def _with_nulls(hashes: Hashes, column: pa.Array) -> Hashes:
    if column.null_count:
        hashes[pc.is_null(column).to_numpy(zero_copy_only=False)] = _NULL
    return hashes


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _unsplittable(name: str, got: str) -> ColumnTypeMismatch:
    return ColumnTypeMismatch(name, where="the rows to split into arms", expected=_KINDS, got=got)
