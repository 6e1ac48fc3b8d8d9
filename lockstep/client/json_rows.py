"""Records from JSON: an array of them, a body of MLflow's protocol, or one on each line."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import orjson

from lockstep.client.errors import RowsUnfit

Record = dict[str, Any]
EXPECTED = "expected an array of records, or a body of MLflow's protocol"


def records_of(content: bytes) -> list[Record]:
    """Read records from a whole JSON document.

    Raises:
        RowsUnfit: It holds something else.
        ValueError: It is no JSON.
    """
    found = _parsed(content)
    if isinstance(found, dict):
        found = _of_body(found)
    if not isinstance(found, list) or not all(isinstance(record, dict) for record in found):
        raise RowsUnfit(f"the JSON is something else; {EXPECTED}")
    return found


def lines_of(lines: Iterable[bytes]) -> Iterator[Record]:
    """Read a record from each line that is not blank; raises what `records_of` does."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = _parsed(line)
        except ValueError as error:
            raise RowsUnfit(f"line {number} is not valid JSON") from error
        if not isinstance(record, dict):
            raise RowsUnfit(f"line {number} is no record")
        yield record


def _parsed(content: bytes) -> Any:
    try:
        return orjson.loads(content)
    except ValueError:
        return json.loads(content)  # also reads NaN and Infinity, which Python's clients write


def _of_body(body: Record) -> Any:
    if "dataframe_split" in body:
        split = body["dataframe_split"]
        return _zipped(split["columns"], split["data"])
    for name in ("dataframe_records", "instances"):
        if name in body:
            return body[name]
    if "inputs" in body and isinstance(body["inputs"], dict):
        columns = body["inputs"]
        if not all(isinstance(values, list) for values in columns.values()):
            raise RowsUnfit("inputs must hold an array for every column")
        return _zipped(list(columns), list(zip(*columns.values(), strict=True)))
    return None


def _zipped(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[Record]:
    return [dict(zip(names, row, strict=True)) for row in rows]
