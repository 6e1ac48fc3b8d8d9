"""Schemas of MLflow's scoring protocol for one model: the four JSON forms, and the predictions."""

from typing import Any

from lockstep.scoring.signature import Signature
from lockstep.serving.formats import JSON_FORMATS
from lockstep.serving.openapi.values import Schema, answer_schema, cell_schema, example

IGNORED = "not read: the models here have no parameters"


def record_schema(signature: Signature) -> Schema:
    """Describe one row as an object; columns beyond the signature are dropped."""
    return {
        "type": "object",
        "properties": {column.name: cell_schema(column) for column in signature.inputs},
        "required": [column.name for column in signature.inputs if column.required],
    }


def columns_schema(signature: Signature) -> Schema:
    """Describe rows column by column; all arrays are of one length."""
    columns = {column.name: {"type": "array", "items": cell_schema(column)} for column in signature.inputs}
    required = [column.name for column in signature.inputs if column.required]
    return {
        "type": "object",
        "properties": columns,
        "required": required,
        "description": "Arrays of one length, a value for each row.",
    }


def split_schema(signature: Signature) -> Schema:
    """Describe rows as a table; the order of columns is free, and others are dropped."""
    count = len(signature.inputs)
    cells = [cell_schema(column) for column in signature.inputs]
    row = {"type": "array", "prefixItems": cells, "minItems": count, "maxItems": count}
    return {
        "type": "object",
        "properties": {
            "columns": {"const": signature.names, "description": "In any order; what is not required may be left out."},
            "data": {"type": "array", "items": row, "description": "Rows, each in the order of `columns`."},
            "index": {"description": "Not read."},
        },
        "required": ["columns", "data"],
        "additionalProperties": False,
    }


def invocations_schema(signature: Signature) -> Schema:
    """Describe a JSON body: exactly one of the four forms."""
    record, columns = record_schema(signature), columns_schema(signature)
    records: Schema = {"type": "array", "items": record}
    either: list[Schema] = [records, columns]
    if all(column.shape is None for column in signature.inputs):
        either.append(record)  # one value for each column: one row
    if len(signature.inputs) == 1:
        either.append({"type": "array", "items": cell_schema(signature.inputs[0])})
    forms = {
        "dataframe_split": split_schema(signature),
        "dataframe_records": records,
        "instances": {"anyOf": either},
        "inputs": {"anyOf": either},
    }
    return {"anyOf": [_only(name, forms[name]) for name in JSON_FORMATS]}


def _only(name: str, schema: Schema) -> Schema:
    others: Schema = {other: False for other in JSON_FORMATS if other != name}
    properties = {name: schema, "params": {"description": IGNORED}, **others}
    return {"title": name, "type": "object", "properties": properties, "required": [name]}


def invocations_examples(signature: Signature) -> dict[str, Any]:
    """Return a body in each form."""
    row = {column.name: example(column) for column in signature.inputs}
    split = {"columns": list(row), "data": [list(row.values())]}
    columns = {name: [value] for name, value in row.items()}
    bodies = {"dataframe_split": split, "dataframe_records": [row], "instances": [row], "inputs": columns}
    return {name: {"value": {name: body}} for name, body in bodies.items()}


def predictions_schema(signature: Signature) -> Schema:
    """Describe the answer: a record for each row, in their order."""
    outputs = {output.name: answer_schema(output) for output in signature.outputs}
    record = {"type": "object", "properties": outputs, "required": list(outputs), "additionalProperties": False}
    return {
        "type": "object",
        "properties": {"predictions": {"type": "array", "items": record}},
        "required": ["predictions"],
        "additionalProperties": False,
    }


def csv_example(signature: Signature) -> str:
    """Return a CSV body with a header line."""
    cells = [str(example(column)) for column in signature.inputs]
    return f"{','.join(signature.names)}\n{','.join(cells)}\n"
