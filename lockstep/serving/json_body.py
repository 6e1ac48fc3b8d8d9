"""Parse request bodies as JSON, fast, and with the NaN that MLflow's client writes for a missing number."""

import json
import math
from typing import Any

import orjson

from lockstep.errors import RequestInvalid

# Not JSON, but what Python's encoder (and so MLflow's client) emits.
PYTHON_TOKENS = (b"NaN", b"Infinity")
# How half a character is written.
SURROGATE = b"\\ud"
KINDS = {
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    str: "a string",
    list: "an array",
    dict: "an object",
}


def parse_json(body: bytes) -> Any:
    """Parse a body.

    Args:
        body: UTF-8 text. Besides JSON, the bare tokens NaN, Infinity and -Infinity are read as numbers.

    Raises:
        RequestInvalid: It is not JSON, or nested too deeply.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if any(token in body for token in PYTHON_TOKENS):
            return _parse_with_tokens(body)
        # orjson says of bytes that are no UTF-8: "str is not valid UTF-8".
        problem = "not UTF-8" if error.msg.startswith("str ") else str(error)
        raise RequestInvalid(f"the body is not valid JSON: {problem}") from error


def _parse_with_tokens(body: bytes) -> Any:
    """Parse with Python's parser, but refuse what orjson refuses: a body must not mean more because it has a NaN."""
    try:
        value = json.loads(body.decode("utf-8"), parse_float=_finite)
        if SURROGATE in body.lower():
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        return value
    except RecursionError as error:
        raise RequestInvalid("the body is not valid JSON: nested too deeply") from error
    except json.JSONDecodeError as error:
        raise RequestInvalid(f"the body is not valid JSON: line {error.lineno} column {error.colno}") from error
    except ValueError as error:
        raise RequestInvalid("the body is not valid JSON: not UTF-8, or a number that is too large") from error


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("beyond the range of a double")
    return number


def parse_json_object(body: bytes) -> dict[str, Any]:
    """Parse a body that must be a JSON object, or raise `RequestInvalid`."""
    value = parse_json(body)
    if not isinstance(value, dict):
        raise RequestInvalid(f"the body must be a JSON object, got {json_kind(value)}")
    return value


def json_kind(value: object) -> str:
    """Name the kind of a JSON value, such as 'a string', without telling the value."""
    if value is None:
        return "null"
    return KINDS.get(type(value), "something else")
