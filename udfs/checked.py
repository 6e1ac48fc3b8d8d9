"""A function for executors that first compares their versions with the driver's, once in a worker process.

The comparison travels by value and the function behind it as bytes: an executor without `lockstep`, or with another
one, says so instead of failing on some import.
"""

import hashlib
import inspect
import os
import socket
import sys
from collections.abc import Callable
from typing import Any

from pyspark import cloudpickle

from lockstep.errors import EnvironmentsDiffer
from lockstep.run import versions

WHERE, DIFFERENCES = "<where>", "<differences>"
# Of the worker process: which versions it was compared with already.
COMPARED = "lockstep.versions.compared"


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that does the same on executors which have the versions of this process.

    Raises:
        EnvironmentsDiffer: On the executor: it has not. The driver gets it from the text of Spark's exception.
    """
    payload = cloudpickle.dumps(function)  # type: ignore[no-untyped-call]
    guard = _guard(versions.versions_here())

    def run(*arguments: Any) -> Any:
        guard()
        return cloudpickle.loads(payload)(*arguments)

    # Spark reads of a UDF how it takes its arguments.
    run.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    run.__annotations__ = dict(function.__annotations__)
    return run


def _guard(expected: dict[str, str]) -> Callable[[], None]:
    message = str(
        EnvironmentsDiffer(WHERE, python=f"{sys.executable} on {socket.gethostname()}", differences=DIFFERENCES)
    )
    mark = hashlib.sha256(repr(sorted(expected.items())).encode()).hexdigest()
    compare, find = versions.differences, versions.versions_here
    # Named as the driver's class, which may not be importable over there.
    error = type(EnvironmentsDiffer.__name__, (RuntimeError,), {"__module__": "lockstep.errors"})

    def guard() -> None:
        if os.environ.get(COMPARED) == mark:
            return
        found = compare(expected, find())
        if found:
            where = f"host {socket.gethostname()} ({sys.executable})"
            raise error(message.replace(WHERE, where).replace(DIFFERENCES, "\n".join(found)))
        os.environ[COMPARED] = mark

    return guard


def register_by_value() -> None:
    """Let what is defined here and in `lockstep.run.versions` travel whole, not by name."""
    for module in (versions, sys.modules[__name__]):
        cloudpickle.register_pickle_by_value(module)  # type: ignore[no-untyped-call]


register_by_value()
