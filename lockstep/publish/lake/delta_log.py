"""What the commits to a Delta table say of themselves."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from deltalake import DeltaTable

from lockstep.publish.lake.files import AT_ONCE
from lockstep.storage.files import Location
from lockstep.storage.objects import ObjectPath

# How many of the newest commits are looked at first.
FIRST_LOOK = 50


def commit_info(folder: Location, version: int) -> dict[str, Any] | None:
    """Return what a commit says of itself; `None`: there is no such commit."""
    file = folder / "_delta_log" / f"{version:020d}.json"
    try:
        actions = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line]
    except FileNotFoundError:
        return None
    return next((action["commitInfo"] for action in actions if "commitInfo" in action), {})


def newest_first(head: DeltaTable, folder: Location) -> Iterator[dict[str, Any]]:
    """Yield what commits say of themselves, newest first; the first few are read before the rest.

    In a store the files are read here: `history` keeps Python's lock while it waits for answers, and with it the signs
    of life of whoever holds the day, which are a thread of this process.

    Args:
        head: A state of the table.
        folder: Where the table lies.
    """
    if isinstance(folder, ObjectPath):
        yield from _read(folder, head.version())
        return
    first = head.history(FIRST_LOOK)
    yield from first
    if len(first) == FIRST_LOOK:
        yield from head.history()[FIRST_LOOK:]


def _read(folder: ObjectPath, newest: int) -> Iterator[dict[str, Any]]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for last in range(newest, -1, -AT_ONCE):
            for info in pool.map(partial(commit_info, folder), range(last, max(last - AT_ONCE, -1), -1)):
                if info is None:  # the older ones were removed
                    return
                yield info
