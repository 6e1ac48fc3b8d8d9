"""Bad requests of MLflow's protocol, each with the status and the words that it is to be refused with.

Every one holds a text or a number that must not come back.
"""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.unit.serving.toy import ROW, SIGNATURE

SECRET, NUMBER = "s3cr3t", 47114711
INVOCATIONS = "/invocations"
JSON, CSV, PARQUET = "application/json", "text/csv", "application/vnd.apache.parquet"
BODY_BYTES = 20_000
PRIVATE: dict[str, Any] = {**ROW, "carrier": SECRET, "note": SECRET, "flight": NUMBER}


@dataclass(frozen=True)
class Bad:
    """One bad request.

    Attributes:
        told: What its error must say.
    """

    name: str
    body: bytes | None
    told: str
    path: str = INVOCATIONS
    status: int = 400
    kind: str | None = JSON
    headers: dict[str, str] = field(default_factory=dict)
    method: str | None = None

    @property
    def all_headers(self) -> dict[str, str]:
        return {**({"content-type": self.kind} if self.kind else {}), **self.headers}


def dumped(value: Any) -> bytes:
    return json.dumps(value).encode()


def row(**changes: Any) -> dict[str, Any]:
    return {**PRIVATE, **changes}


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in PRIVATE.items() if key != name}


def bodies_that_are_no_json() -> Iterator[Bad]:
    good = dumped({"dataframe_records": [PRIVATE]})
    yield Bad("empty", b"", "not valid JSON")
    yield Bad("cut off", good[:-3], "not valid JSON")
    yield Bad("something behind it", good + b"x", "not valid JSON")
    yield Bad("not UTF-8", good.replace(SECRET.encode(), b"\xff" + SECRET.encode()), "not valid JSON")
    yield Bad("byte order mark", b"\xef\xbb\xbf" + good, "not valid JSON")
    yield Bad("UTF-16", good.decode().encode("utf-16"), "not valid JSON")
    yield Bad("nested too deeply", b'{"inputs": ' + b"[" * 5000 + b"1" + b"]" * 5000 + b"}", "not valid JSON")
    yield Bad("nested too deeply, with NaN", b"[" * 9000 + b"NaN" + b"]" * 9000, "nested too deeply")
    yield Bad("half a character", good.replace(SECRET.encode(), b"\\ud800" + SECRET.encode()), "not valid JSON")
    half = b'{"x": NaN, "dataframe_records": "%s\\uDC00"}' % SECRET.encode()
    yield Bad("half a character beside NaN", half, "not valid JSON")
    yield Bad("beyond a double", b'{"dataframe_records": [{"distance": 1e400}]}', "not valid JSON")
    yield Bad("beyond a double beside NaN", b'{"dataframe_records": [NaN, 1e400]}', "number that is too large")
    yield Bad("too many digits beside NaN", b"[NaN, " + b"4" * 5000 + b"]", "number that is too large")
    yield Bad("NaN misspelt", b'{"inputs": nan}', "not valid JSON")


def bodies_of_another_form() -> Iterator[Bad]:
    yield Bad("an array", dumped([PRIVATE]), "must be a JSON object, got an array")
    yield Bad("a string", dumped(SECRET), "must be a JSON object, got a string")
    yield Bad("null", b"null", "must be a JSON object, got null")
    yield Bad("no form", dumped({"rows": [PRIVATE], SECRET: 1}), "exactly one of the fields")
    yield Bad("two forms", dumped({"inputs": [PRIVATE], "instances": [PRIVATE]}), "got instances, inputs")
    yield Bad("split is no object", dumped({"dataframe_split": SECRET}), "must be an object with columns and data")
    yield Bad(
        "split without columns", dumped({"dataframe_split": {"data": [[SECRET]]}}), "must have the fields columns"
    )
    extra = {"columns": [], "data": [], SECRET: 1}
    yield Bad("split with another field", dumped({"dataframe_split": extra}), "and no other")
    numbers = {"columns": [NUMBER], "data": []}
    yield Bad("columns are numbers", dumped({"dataframe_split": numbers}), "must be an array of strings")
    text = {"columns": [], "data": SECRET}
    yield Bad("data is text", dumped({"dataframe_split": text}), "must be an array of rows, got a string")
    short = {"columns": SIGNATURE.names, "data": [[*PRIVATE.values()], [SECRET]]}
    yield Bad("a short row", dumped({"dataframe_split": short}), "row 1: expected an array of 8 values")
    twice = {"columns": ["carrier", "carrier"], "data": [[SECRET, SECRET]]}
    yield Bad("a column twice", dumped({"dataframe_split": twice}), "given twice: carrier")
    few = {"columns": ["carrier", SECRET], "data": [[SECRET, NUMBER]]}
    yield Bad("columns are missing", dumped({"dataframe_split": few}), "lacks 6 of the model's input columns")
    yield Bad("records are an object", dumped({"dataframe_records": PRIVATE}), "must be an array of records")
    yield Bad("a record is text", dumped({"dataframe_records": [SECRET]}), "row 0: expected an object, got a string")
    yield Bad(
        "a record lacks a column", dumped({"instances": [without("rate")]}), "lacks 1 of the model's input columns"
    )
    second = [PRIVATE, without("rate")]
    yield Bad("the second lacks a column", dumped({"instances": second}), "row 1: lacks column 'rate'")
    yield Bad("inputs are text", dumped({"inputs": SECRET}), "must be an array of records, got a string")
    yield Bad("inputs are numbers", dumped({"inputs": [NUMBER]}), "row 0: expected an object, got an integer")
    mixed = {**PRIVATE, "carrier": [SECRET]}
    yield Bad("values and arrays", dumped({"inputs": mixed}), "an array for every column, or one value for every")
    uneven = {name: [value] for name, value in PRIVATE.items()} | {"rate": [0.5, 1.5]}
    yield Bad("columns of several lengths", dumped({"inputs": uneven}), "differ in length")


CELLS: dict[str, tuple[str, Any, str]] = {
    "text for a number": ("distance", SECRET, "expected a number or null, got a string"),
    "a number as text": ("distance", str(NUMBER), "expected a number or null, got a string"),
    "true for a number": ("distance", True, "got a boolean"),
    "an object for a number": ("distance", {SECRET: NUMBER}, "got an object"),
    "an array for a text": ("carrier", [SECRET], "expected a string or null, got an array"),
    "a number for a text": ("carrier", NUMBER, "expected a string or null, got an integer"),
    "a fraction for an integer": ("seats", NUMBER + 0.5, "got a number with a fraction"),
    "beyond 32 bits": ("seats", NUMBER * 1000, "expected a 32-bit integer or null, got an integer out of range"),
    "beyond 64 bits": ("flight", NUMBER * 10**12, "expected a 64-bit integer or null, got an integer out of range"),
    "below 64 bits": ("flight", -(2**63) - 1, "an integer out of range"),
    "infinity for an integer": ("flight", float("inf"), "expected a 64-bit integer"),
    "null for an integer": ("seats", None, "column seats is null"),
    "NaN for an integer": ("flight", float("nan"), "column flight is null"),
    "null for a boolean": ("wet", None, "column wet is null"),
    "0 for a boolean": ("wet", 0, "expected true, false or null, got an integer"),
    "text for a boolean": ("wet", SECRET, "expected true, false or null, got a string"),
    "a number for a time": ("at", NUMBER, "expected an ISO 8601 timestamp as a string, or null, got an integer"),
    "text for a time": ("at", SECRET, "got a string in another form"),
    "a day that is none": ("at", "2013-02-30T00:00:00", "got a string in another form"),
    "a time before the calendar": ("at", "0001-01-01T00:00:00+14:00", "a time out of range"),
    "a time after the calendar": ("at", "9999-12-31T23:59:59-14:00", "a time out of range"),
    "beyond a float": ("rate", 1e39, "expected a number or null, got a number out of range"),
}


def cells_of_another_type() -> Iterator[Bad]:
    for name, (column, value, told) in CELLS.items():
        yield Bad(name, dumped({"dataframe_records": [PRIVATE, row(**{column: value})]}), told)


def requests_that_are_not_read() -> Iterator[Bad]:
    good = dumped({"dataframe_records": [PRIVATE]})
    yield Bad("no content type", good, "header Content-Type", status=415, kind=None)
    yield Bad("HTML", good, "header Content-Type", status=415, kind="text/html")
    yield Bad("latin-1", good, "charset=utf-8", status=415, kind="application/json; charset=latin-1")
    yield Bad("another parameter", good, "charset=utf-8", status=415, kind="application/json; version=1")
    yield Bad("compressed", good, "Content-Encoding", status=415, headers={"content-encoding": "gzip"})
    yield Bad("too large", good + b" " * BODY_BYTES, "larger than 20000 bytes", status=413)
    yield Bad("said to be too large", good, "larger than", status=413, headers={"content-length": "99999999"})
    for text in ("0", "-1", "1.5", "soon", "", "9" * 30):
        headers = {"x-request-timeout-ms": text}
        yield Bad(f"a timeout of {text[:4]!r}", good, "a whole number of milliseconds, 1 or more", headers=headers)
    yield Bad("another model", good, "not served here", path="/endpoints/other/invocations", status=404)
    yield Bad("another path", good, "no such endpoint", path="/predict", status=404)
    yield Bad("another method", None, "no such endpoint", status=405, method="GET")
    yield Bad("a method that nobody has", good, "no such endpoint", status=405, method="DELETE")


def csv_bodies() -> Iterator[Bad]:
    names = ",".join(SIGNATURE.names)

    def cell(name: str, column: str, text: str, told: str) -> Bad:
        cells = {key: "" if value is None else str(value) for key, value in PRIVATE.items()}
        return Bad(name, f"{names}\n{','.join({**cells, column: text}.values())}\n".encode(), told, kind=CSV)

    yield Bad("CSV: empty", b"", "expected a header line", kind=CSV)
    yield Bad("CSV: not UTF-8", names.encode() + b"\n\xff" + SECRET.encode(), "not UTF-8", kind=CSV)
    yield Bad("CSV: an open quote", f'{names}\n"{SECRET}'.encode(), "quotes or a field too long", kind=CSV)
    yield Bad("CSV: a short line", f"{names}\n{SECRET}\n".encode(), "row 0: expected 8 values", kind=CSV)
    yield Bad("CSV: a column twice", f"rate,rate\n{NUMBER},1\n".encode(), "given twice: rate", kind=CSV)
    yield Bad("CSV: columns are missing", f"rate,{SECRET}\n{NUMBER},1\n".encode(), "lacks 6", kind=CSV)
    yield cell("CSV: text for a number", "distance", SECRET, "field 'distance', row 0: expected a number")
    yield cell("CSV: digits in groups", "distance", "47_114_711", "expected a number or null")
    yield cell("CSV: hexadecimal", "flight", "0x47114711", "expected a 64-bit integer")
    yield cell("CSV: beyond a double", "distance", "1e400", "got a number out of range")
    yield cell("CSV: a fraction", "seats", f"{NUMBER}.5", "a number with a fraction")
    yield cell("CSV: no integer", "seats", "", "column seats is null")
    yield cell("CSV: another word for true", "wet", SECRET, "expected true, false or null")
    yield cell("CSV: no time", "at", SECRET, "expected an ISO 8601 timestamp")


def parquet_bodies() -> Iterator[Bad]:
    good, few, other = (
        parquet(pa.table({name: [value] for name, value in cells.items()}))
        for cells in (PRIVATE, {"carrier": SECRET}, row(distance=SECRET))
    )
    yield Bad("Parquet: empty", b"", "does not begin and end with PAR1", kind=PARQUET)
    yield Bad("Parquet: JSON", dumped({"inputs": SECRET}), "does not begin and end with PAR1", kind=PARQUET)
    yield Bad("Parquet: cut off", good[:-9], "does not begin and end with PAR1", kind=PARQUET)
    yield Bad("Parquet: no footer", good[:60] + b"PAR1", "not a valid Parquet file", kind=PARQUET)
    yield Bad("Parquet: columns are missing", few, "lacks 6 of the model's input columns", kind=PARQUET)
    yield Bad("Parquet: text for a number", other, "column 'distance': expected double", kind=PARQUET)


def parquet(table: pa.Table) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue()


BAD_INVOCATIONS = (
    *parquet_bodies(),
    *bodies_that_are_no_json(),
    *bodies_of_another_form(),
    *cells_of_another_type(),
    *requests_that_are_not_read(),
    *csv_bodies(),
)
