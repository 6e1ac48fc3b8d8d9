"""The reference of a settings file, from the JSON Schema of its pydantic model: key, type, default, bounds, meaning."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

Schema = Mapping[str, Any]

BOUNDS = (
    ("exclusiveMinimum", "more than {}"),
    ("minimum", "at least {}"),
    ("exclusiveMaximum", "less than {}"),
    ("maximum", "at most {}"),
    ("minLength", "not shorter than {}"),
    ("maxLength", "not longer than {}"),
    ("minItems", "at least {} of them"),
    ("maxItems", "at most {} of them"),
    ("pattern", "matches `{}`"),
)
PLAIN = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false", "null": "nothing"}


def reference(model: type[BaseModel], *, title: str, introduction: str) -> str:
    """Return the page of a model: its keys, then a section for each group of keys below it.

    Args:
        model: Of the whole file.
        title: Heading.
        introduction: What stands below it.
    """
    schema = model.model_json_schema(mode="validation")
    groups = schema.get("$defs", {})
    parts = [f"# {title}", introduction, *_table(schema, groups)]
    for name in _in_order(schema, groups):
        if "properties" in groups[name]:
            parts += [f"## {name}", _sentence(groups[name]), *_table(groups[name], groups)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(schema: Schema, groups: Mapping[str, Schema]) -> list[str]:
    required = set(schema.get("required", ()))
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for name, field in schema.get("properties", {}).items():
        default = "**required**" if name in required else _default(field, groups)
        bounds = "; ".join(_bounds(field))
        meaning = field.get("description") or _sentence(groups.get(_target(field), {}))
        text = " ".join(filter(None, (meaning, f"({bounds})" if bounds else "")))
        rows.append(f"| `{name}` | {kind(field, groups)} | {default} | {_cell(text)} |")
    return ["\n".join(rows)] if len(rows) > 2 else []


def kind(field: Schema, groups: Mapping[str, Schema]) -> str:
    """Return the type of a field in words, with a link to the group of keys that it is."""
    if target := _target(field):
        return f"[{target}](#{target.lower()})" if "properties" in groups[target] else kind(groups[target], groups)
    if "enum" in field or "const" in field:
        return " or ".join(f"`{value}`" for value in field.get("enum", [field.get("const")]))
    if choices := field.get("anyOf") or field.get("oneOf"):
        return " or ".join(dict.fromkeys(kind(choice, groups) for choice in choices))
    if field.get("type") == "array":
        return f"list of {kind(field['items'], groups)}" if field.get("items") else "list"
    if field.get("type") == "object":
        values = field.get("additionalProperties")
        return f"name to {kind(values, groups)}" if isinstance(values, dict) else "names to values"
    return f"{field['format']}" if "format" in field else PLAIN.get(str(field.get("type")), "anything")


def _bounds(field: Schema) -> Iterator[str]:
    for part in (field, *field.get("anyOf", ()), *_items(field)):
        for name, words in BOUNDS:
            if name in part:
                yield words.format(f"{part[name]:,}" if isinstance(part[name], int) else part[name])


def _items(field: Schema) -> tuple[Schema, ...]:
    items = field.get("items")
    return (items,) if isinstance(items, dict) else ()


def _default(field: Schema, groups: Mapping[str, Schema]) -> str:
    if "default" in field:
        value = field["default"]
        return "–" if value in (None, "", [], {}) else f"`{json.dumps(value)}`"
    return "its own defaults" if _target(field) in groups else "–"


def _target(field: Schema) -> str:
    reference = field.get("$ref") or next((part["$ref"] for part in field.get("allOf", ()) if "$ref" in part), "")
    return str(reference).rpartition("/")[2]


def _in_order(schema: Schema, groups: Mapping[str, Schema]) -> list[str]:
    """Return the groups in the order in which a reader of the file meets them."""
    found: list[str] = []

    def visit(part: Any) -> None:
        if isinstance(part, dict):
            name = str(part.get("$ref", "")).rpartition("/")[2]
            if name in groups and name not in found:
                found.append(name)
                visit(groups[name])
            for key, value in part.items():
                if key != "$defs":
                    visit(value)
        elif isinstance(part, list):
            for value in part:
                visit(value)

    visit(schema)
    return found


def _sentence(schema: Schema) -> str:
    text = str(schema.get("description", "")).split("\n\n")[0]
    return " ".join(text.split())


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
