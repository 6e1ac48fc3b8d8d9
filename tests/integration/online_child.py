"""Processes of their own around an online store: one that loads, and one that looks up.

python -m tests.integration.online_child write LOCATION ROUNDS
python -m tests.integration.online_child read LOCATION SECONDS
"""

import asyncio
import json
import sys
import time

from lockstep.publish.online.stores import open_online_store
from lockstep.serving.features.lookup import LookupRequest
from lockstep.serving.features.readers import open_reader
from tests.unit.publish.online.loads import TABLE, day, load, run_rows

# Enough for several chunks, so that a load takes many transactions.
ROWS = 45_000
ASKED = [0, 1, ROWS // 3, ROWS // 2, ROWS - 2, ROWS - 1]


def write(location: str, rounds: int) -> None:
    """Load one run after the other, now and then the next day; say `begun` after the first and `done` at the end."""
    store = open_online_store(location, wait_s=30)
    first = max((one.token for one in store.loaded(TABLE)), default=0)
    for token in range(first + 1, first + rounds + 1):
        run = f"run{token}"
        made = load(run, token, partition=day(token // 3), rows=run_rows(run, rows=ROWS, score=token), keep_days=2)
        store.put_partition(made)
        if token == first + 1:
            print("begun", flush=True)
    print("done", flush=True)


async def read(location: str, seconds: float) -> None:
    """Look up until the time is over; print how many lookups there were, what was wrong, which runs were seen."""
    reader, wrong, lookups, seen = open_reader(location), [], 0, []
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        found = await reader.lookup(LookupRequest(TABLE, {"id": ASKED}), timeout_s=10)
        lookups += 1
        runs = sorted({one.run_key if one else "nothing" for one in found.provenance})
        scores = found.predictions.column("risk").to_pylist()
        tokens = {int(score - row / 8) for row, score in zip(ASKED, scores, strict=True)}
        if len(runs) != 1 or runs != [f"run{token}" for token in tokens]:
            wrong.append(runs)
        if not seen or seen[-1] != runs[0]:
            seen.append(runs[0])
        await asyncio.sleep(0)
    await reader.aclose()
    print(json.dumps({"lookups": lookups, "wrong": wrong[:5], "seen": seen}), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(sys.argv[2], int(sys.argv[3]))
    else:
        asyncio.run(read(sys.argv[2], float(sys.argv[3])))
