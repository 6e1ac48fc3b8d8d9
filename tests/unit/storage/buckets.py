"""Buckets in memory: obstore's own store, so that its listing, its conditions and its errors are real."""

import pytest
from obstore.store import MemoryStore

from lockstep.storage import objects
from lockstep.storage.objects import ObjectPath

ROOT = "s3://bucket"


def bucket_in_memory(monkeypatch: pytest.MonkeyPatch) -> ObjectPath:
    """Make every bucket one in memory, and return the folder of a test in one of them."""
    stores = dict[str, MemoryStore]()
    monkeypatch.setattr(objects, "store", lambda root: stores.setdefault(root, MemoryStore()))
    return ObjectPath(ROOT, "below")
