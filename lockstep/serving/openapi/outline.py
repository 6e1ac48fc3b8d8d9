"""Schemas as lines that a person reads: what is there, of which type, and what is in it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Deeper than any of our schemas, and a bound for those that refer to themselves.
MOST_DEPTH = 12
SHOWN_VALUES = 12
REFERENCE = "#/components/schemas/"


@dataclass(frozen=True)
class Line:
    """One line of an outline.

    Attributes:
        depth: How far it is indented.
        name: Of the property, or what the line stands for.
        kind: Its type in words.
        target: Name of the schema that it refers to, or empty.
        required: Whether it must be there.
        description: May be empty.
    """

    depth: int
    name: str
    kind: str
    target: str = ""
    required: bool = False
    description: str = ""


def outline(schema: Any, name: str = "", *, depth: int = 0, required: bool = False) -> Iterator[Line]:
    """Yield a schema and what is in it, the outer before the inner."""
    described = str(schema.get("description", "")) if isinstance(schema, Mapping) else ""
    yield Line(depth, name, kind_of(schema), target_of(schema), required, described)
    if isinstance(schema, Mapping) and depth < MOST_DEPTH:
        for inner, label, needed in _inside(schema):
            yield from outline(inner, label, depth=depth + 1, required=needed)


def target_of(schema: Any) -> str:
    """Return the name of the schema that one refers to, or nothing."""
    reference = schema.get("$ref", "") if isinstance(schema, Mapping) else ""
    return str(reference).removeprefix(REFERENCE) if str(reference).startswith(REFERENCE) else ""


def kind_of(schema: Any) -> str:
    """Return the type of a value in words, without what is in it."""
    if not isinstance(schema, Mapping):
        return "must not be there" if schema is False else "anything"
    if "$ref" in schema:
        return target_of(schema)
    if "const" in schema:
        return json.dumps(schema["const"], ensure_ascii=False)
    if "enum" in schema:
        return _values(schema["enum"])
    return _choice(schema["anyOf"]) if "anyOf" in schema and "type" not in schema else _typed(schema)


def _values(values: Sequence[Any]) -> str:
    shown = [json.dumps(value, ensure_ascii=False) for value in values[:SHOWN_VALUES]]
    more = f" or {len(values) - SHOWN_VALUES} more" if len(values) > SHOWN_VALUES else ""
    return " | ".join(shown) + more


def _choice(options: Sequence[Any]) -> str:
    if all(_is_leaf(option) for option in options):
        return " or ".join(dict.fromkeys(kind_of(option) for option in options))
    return "one of these" + (" or null" if any(option == {"type": "null"} for option in options) else "")


def _typed(schema: Mapping[str, Any]) -> str:
    given = schema.get("type", "object" if "properties" in schema else "anything")
    words = [" or ".join(given) if isinstance(given, list) else str(given)]
    if given == "array" and _is_leaf(schema.get("items")):
        words[0] = f"array of {kind_of(schema['items'])}"
    if "format" in schema:
        words.append(str(schema["format"]))
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    words += [f"{sign} {schema[key]}" for key, sign in signs.items() if key in schema]
    if "pattern" in schema:
        words.append(f"matches {schema['pattern']}")
    least, most = schema.get("minItems"), schema.get("maxItems")
    if most is not None:
        words.append(f"{most} items" if least == most else f"at most {most} items")
    elif least:
        words.append(f"at least {least} items")
    return ", ".join(words)


def _inside(schema: Mapping[str, Any]) -> Iterator[tuple[Any, str, bool]]:
    """Yield what is in a schema: with a label, and whether it must be there."""
    needed = set(schema.get("required", ()))
    for name, inner in schema.get("properties", {}).items():
        if inner is not False:  # what must not be there is of no use to a reader
            yield inner, name, name in needed
    for place, inner in enumerate(schema.get("prefixItems", ())):
        yield inner, _title(inner, f"item {place}"), True
    items = schema.get("items")
    if isinstance(items, Mapping) and not _is_leaf(items):
        yield items, "each item", False
    options = schema.get("anyOf", ())
    if not all(_is_leaf(option) for option in options):
        for place, inner in enumerate(options, 1):
            if inner != {"type": "null"}:
                yield inner, _title(inner, f"option {place}"), False


def _title(schema: Any, otherwise: str) -> str:
    return str(schema.get("title", otherwise)) if isinstance(schema, Mapping) else otherwise


def _is_leaf(schema: Any) -> bool:
    """Return whether the words of `kind_of` say all of a schema."""
    if not isinstance(schema, Mapping):
        return schema is not None
    if any(key in schema for key in ("$ref", "properties", "prefixItems", "description")):
        return False
    return all(_is_leaf(option) for option in schema.get("anyOf", ())) and _is_leaf(schema.get("items", False))
