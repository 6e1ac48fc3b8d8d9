"""A real object store in memory that counts what it is asked, as an operator would be billed for it."""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import obstore
import pytest
from obstore.store import MemoryStore

from lockstep.storage import objects
from lockstep.storage.objects import ObjectPath

CALLS = ("get", "put", "head", "list", "list_with_delimiter", "delete")


@contextlib.contextmanager
def counted_store() -> Iterator[tuple[ObjectPath, Counter[str]]]:
    """Return a folder of a fresh store, and how often each kind of request was made of it.

    A listing counts once: it is one request for each thousand objects, and tests list fewer.
    """
    memory, counts = MemoryStore(), Counter[str]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(objects, "store", lambda _root: memory)
        for name in CALLS:
            patch.setattr(obstore, name, _counting(getattr(obstore, name), name, counts))
        yield ObjectPath.parse("s3://bucket/runs/one"), counts


def _counting(call: Callable[..., Any], name: str, counts: Counter[str]) -> Callable[..., Any]:
    def counted(*arguments: Any, **options: Any) -> Any:
        counts[name] += 1
        return call(*arguments, **options)

    return counted
