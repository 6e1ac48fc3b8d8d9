"""The request formats of MLflow's scoring protocol, each decoded to the same rows.

MLflow's rules are kept (https://mlflow.org/docs/latest/ml/deployment/deploy-model-locally/), except where its answer
would depend on the neighbours of a row or on the encoding: a record that lacks a column which others have is refused
(pandas would fill it silently), text is never read as a number, and in CSV only an empty cell is missing text.
"""

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lockstep.errors import RequestInvalid
from lockstep.run.plan import Column
from lockstep.scoring.signature import Signature
from lockstep.serving.columns import build_rows, check_rows, require
from lockstep.serving.json_body import json_kind, parse_json_object
from lockstep.serving.rows import Rows, empty_rows

SPLIT_KEYS = {"columns", "data", "index"}
# A number that every column refuses as out of range.
BEYOND_DOUBLE = 1 << 1024
INFINITIES = {"inf", "infinity"}
NO_PARAMETERS: Mapping[str, Any] = {}
# How pandas writes and reads a missing number.
MISSING_NUMBERS = {"", "NaN", "nan", "-nan", "-NaN", "NA", "N/A", "n/a", "NULL", "null", "None", "<NA>"}


def decode_json(body: bytes, signature: Signature, *, parameters: Mapping[str, Any] = NO_PARAMETERS) -> Rows:
    """Decode a JSON body: exactly one of dataframe_split, dataframe_records, instances and inputs.

    Args:
        body: Of the request.
        signature: What the model declares.
        parameters: Defaults of the model's parameters. A model without any ignores `params`, as MLflow does.

    Raises:
        RequestInvalid: The body does not fit the protocol or the signature, or its `params` are not the defaults.
    """
    request = parse_json_object(body)
    if parameters and request.get("params") is not None:
        _check_parameters(request["params"], parameters)
    given = [name for name in JSON_FORMATS if name in request]
    if len(given) != 1:
        got = ", ".join(given) or "none of them"
        raise RequestInvalid(f"the body must have exactly one of the fields {', '.join(JSON_FORMATS)}; got {got}")
    return JSON_FORMATS[given[0]](request[given[0]], given[0], signature)


def _check_parameters(given: Any, parameters: Mapping[str, Any]) -> None:
    """Let through what changes nothing: a score is what the batch has for the row, with the defaults."""
    if not isinstance(given, dict):
        raise RequestInvalid(f"params must be an object, got {json_kind(given)}")
    unknown = sorted(given.keys() - parameters.keys())
    if unknown:
        raise RequestInvalid(f"params has {unknown[0][:40]!r}; the model has {', '.join(parameters)}")
    changed = [name for name, value in given.items() if value != parameters[name]]
    if changed:
        raise RequestInvalid(
            f"params.{changed[0]} is not its default. Rows are scored as the batch scores them, with the defaults of "
            "the model's signature: leave params out, or register a version with other defaults"
        )


def _decode_split(value: Any, name: str, signature: Signature) -> Rows:
    if not isinstance(value, dict):
        raise RequestInvalid(f"{name} must be an object with columns and data, got {json_kind(value)}")
    if not {"columns", "data"} <= value.keys() <= SPLIT_KEYS:
        raise RequestInvalid(f"{name} must have the fields columns and data and may have index, and no other")
    columns, rows = value["columns"], value["data"]
    if not isinstance(columns, list) or not all(isinstance(c, str) for c in columns):
        raise RequestInvalid(f"{name}.columns must be an array of strings")
    if not isinstance(rows, list):
        raise RequestInvalid(f"{name}.data must be an array of rows, got {json_kind(rows)}")
    for row, cells in enumerate(rows):
        if not isinstance(cells, list) or len(cells) != len(columns):
            raise RequestInvalid(f"{name}.data, row {row}: expected an array of {len(columns)} values")
    return _from_rows(columns, rows, signature)


def _from_rows(names: Sequence[str], rows: Sequence[Sequence[Any]], signature: Signature) -> Rows:
    if names == signature.names and rows:  # as a client does that reads the signature
        return check_rows(list(zip(*rows, strict=True)), len(rows), signature)
    wanted = {column.name for column in signature.inputs}
    if twice := sorted({n for n in names if n in wanted and names.count(n) > 1}):
        raise RequestInvalid(f"columns are given twice: {', '.join(twice)}")
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    return build_rows(dict(zip(names, columns, strict=True)), signature)


def _decode_records(value: Any, name: str, signature: Signature) -> Rows:
    if not isinstance(value, list):
        raise RequestInvalid(f"{name} must be an array of records, got {json_kind(value)}")
    for row, record in enumerate(value):
        if not isinstance(record, dict):
            raise RequestInvalid(f"{name}, row {row}: expected an object, got {json_kind(record)}")
    if not value:
        return empty_rows(signature)
    if not value[0].keys() >= signature.required_names:
        require(value[0], signature)
    return check_rows([_field(value, c, name) for c in signature.inputs], len(value), signature)


def _field(records: Sequence[dict[str, Any]], column: Column, name: str) -> list[Any]:
    if not column.required:
        return [record.get(column.name) for record in records]
    try:
        return [record[column.name] for record in records]
    except KeyError as error:
        row = next(i for i, record in enumerate(records) if column.name not in record)
        raise RequestInvalid(
            f"{name}, row {row}: lacks column {column.name!r}; send null for a missing value"
        ) from error


def _decode_tensors(value: Any, name: str, signature: Signature) -> Rows:
    if isinstance(value, list) and len(signature.inputs) == 1 and not any(isinstance(item, dict) for item in value):
        return build_rows({signature.inputs[0].name: value}, signature)  # of the one input, named or not
    if not isinstance(value, dict):
        return _decode_records(value, name, signature)
    known = {c.name for c in signature.inputs}
    columns = {column: values for column, values in value.items() if column in known}
    lists = [isinstance(values, list) for values in columns.values()]
    if len(set(lists)) > 1:
        raise RequestInvalid(f"{name} must hold an array for every column, or one value for every column")
    if lists and not any(lists):
        columns = {column: [values] for column, values in columns.items()}
    return build_rows(columns, signature)


JSON_FORMATS: dict[str, Callable[[Any, str, Signature], Rows]] = {
    "dataframe_split": _decode_split,
    "dataframe_records": _decode_records,
    "instances": _decode_tensors,
    "inputs": _decode_tensors,
}


def decode_csv(body: bytes, signature: Signature) -> Rows:
    """Decode a CSV body with a header line.

    Raises:
        RequestInvalid: The body is not CSV or does not fit the signature.
    """
    try:
        reader = csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True)
        lines = [line for line in reader if line]
    except UnicodeDecodeError as error:
        raise RequestInvalid("the body is not valid CSV: not UTF-8") from error
    except csv.Error as error:
        raise RequestInvalid("the body is not valid CSV: quotes or a field too long") from error
    if not lines:
        raise RequestInvalid("the body is not valid CSV: expected a header line with the column names, got nothing")
    names, rows = lines[0], lines[1:]
    for row, cells in enumerate(rows):
        if len(cells) != len(names):
            raise RequestInvalid(f"CSV row {row}: expected {len(names)} values as in the header, got {len(cells)}")
    dtypes = {column.name: column.dtype for column in signature.inputs}
    parsers = [CSV_CELLS.get(dtypes.get(name, "string"), _text_cell) for name in names]
    return _from_rows(names, [[p(c) for p, c in zip(parsers, cells, strict=True)] for cells in rows], signature)


def _text_cell(cell: str) -> str | None:
    return cell or None


def _number_cell(cell: str) -> float | int | str | None:
    """Read a number; anything else stays text, which the column then refuses with its row."""
    text = cell.strip()
    if text in MISSING_NUMBERS:
        return None
    for read in (int, float):
        try:
            number = cell if "_" in text else read(text)
        except ValueError:
            continue
        rounded = isinstance(number, float) and math.isinf(number) and text.lstrip("+-").lower() not in INFINITIES
        return BEYOND_DOUBLE if rounded else number
    return cell


def _truth_cell(cell: str) -> bool | str | None:
    text = cell.strip().lower()
    return None if cell.strip() in MISSING_NUMBERS else {"true": True, "false": False}.get(text, cell)


CSV_CELLS: dict[str, Callable[[str], Any]] = {
    "double": _number_cell,
    "float": _number_cell,
    "integer": _number_cell,
    "long": _number_cell,
    "boolean": _truth_cell,
}
