"""Runs the checks of one client, in that client's own environment, and says which passed as a line of JSON each."""

import asyncio
import inspect
import json
import sys
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np

TEXTS = np.array(["ä", "", "b c"], dtype=object)
# What the echo model takes, and returns under the names with `_out`.
ARRAYS: dict[str, tuple[str, Any]] = {
    "text": ("BYTES", TEXTS),
    "number": ("FP64", np.array([0.1 + 0.2, -5e-324, 1e300])),
    "rate": ("FP32", np.array([0.1, 2.0, -0.0], dtype=np.float32)),
    "seats": ("INT32", np.array([-(2**31), 7, 2**31 - 1], dtype=np.int32)),
    "flight": ("INT64", np.array([2**63 - 1, 0, -(2**63)], dtype=np.int64)),
    "wet": ("BOOL", np.array([True, False, True])),
    "picture": ("FP32", np.arange(18, dtype=np.float32).reshape(3, 2, 3) / 7),
    "halves": ("FP16", np.array([[0.5, 1.0], [65504.0, -0.25], [6e-8, 0.0]], dtype=np.float16)),
    "codes": ("UINT8", np.arange(247, 256, dtype=np.uint8).reshape(3, 3)),
    "words": ("BYTES", np.array([["a", "b"], ["", "🦊"], ["c d", "e"]], dtype=object)),
}
# One row of the toy model, one value for each of its inputs; its score is the same over every protocol.
TOY: dict[str, tuple[str, Any]] = {
    "carrier": ("BYTES", np.array(["UA"], dtype=object)),
    "distance": ("FP64", np.array([1400.25])),
    "rate": ("FP32", np.array([0.5], dtype=np.float32)),
    "seats": ("INT32", np.array([149], dtype=np.int32)),
    "flight": ("INT64", np.array([1545], dtype=np.int64)),
    "wet": ("BOOL", np.array([True])),
    "at": ("BYTES", np.array(["2013-08-01T05:15:00"], dtype=object)),
}


def same(found: Any, expected: Any) -> bool:
    """Whether an array came back as it went; texts may come back as bytes."""
    if expected.dtype.kind == "O":
        texts = [v.decode() if isinstance(v, bytes) else v for v in np.asarray(found, dtype=object).reshape(-1)]
        return texts == expected.reshape(-1).tolist()
    array = np.asarray(found)
    return array.dtype == expected.dtype and array.shape == expected.shape and array.tobytes() == expected.tobytes()


def refused(call: Callable[..., Any], *arguments: Any, kind: type[Exception], **options: Any) -> Any:
    """Call what must fail, and return the error."""
    try:
        call(*arguments, **options)
    except kind as error:
        return error
    raise AssertionError("it was not refused")


async def refused_later(call: Awaitable[Any], *, kind: type[Exception]) -> Any:
    """Await what must fail, and return the error."""
    try:
        await call
    except kind as error:
        return error
    raise AssertionError("it was not refused")


def run(checks: list[Callable[..., Any]], *arguments: Any) -> None:
    """Run all checks, also after one that failed, and end the process with how many failed."""
    failed = 0
    for check in checks:
        problem = None
        try:
            if inspect.iscoroutinefunction(check):
                asyncio.run(check(*arguments))
            else:
                check(*arguments)
        except Exception:  # noqa: BLE001 - it is told
            problem = traceback.format_exc()
            failed += 1
        print(json.dumps({"check": check.__name__, "problem": problem}), flush=True)
    sys.exit(failed)


def print_protocol(file: Any) -> None:
    """Print number, type and repetition of every field of a protocol by its full name, and its rpcs."""
    found: dict[str, Any] = {"rpcs": {}}
    messages = list(file.message_types_by_name.values())
    while messages:
        message = messages.pop()
        messages.extend(message.nested_types)
        for field in message.fields:
            found[f"{message.full_name}.{field.name}"] = [field.number, field.type, field.is_repeated]
    for service in file.services_by_name.values():
        for method in service.methods:
            kinds = [method.input_type.full_name, method.output_type.full_name]
            found["rpcs"][method.full_name] = kinds
    print(json.dumps(found))
