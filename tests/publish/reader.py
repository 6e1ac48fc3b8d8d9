"""A reader that looks at a table all the time, from a process of its own, and counts what it saw."""

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import duckdb
import psycopg

from tests.publish.places import Place

PAUSE_S = 0.01
# The warehouse could not be read: a DuckDB file has one writer; a server that lost its disk recovers.
AWAY = (duckdb.IOException, duckdb.ConnectionException, psycopg.OperationalError)


def look(place: Place, until: Path) -> Counter[str]:
    """Look until a file appears; return how often each state was seen."""
    seen: Counter[str] = Counter()
    while not until.exists():
        try:
            seen[json.dumps([[str(day), run_key, rows] for day, run_key, rows in place.live()])] += 1
        except AWAY:
            seen["away"] += 1
        # Readers of a DuckDB file keep writers waiting.
        time.sleep(PAUSE_S * 10 if place.kind == "duckdb" else PAUSE_S)
    return seen


class Reader:
    """Runs `look` beside a test."""

    def __init__(self, place: Place, scratch: Path) -> None:
        self.stop = scratch / "reader.stop"
        command = [sys.executable, "-m", "tests.publish.reader", place.kind, place.location, str(self.stop)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def seen(self) -> Counter[str]:
        """End it; return how often each state was seen."""
        self.stop.touch()
        text, _ = self.process.communicate(timeout=60)
        assert self.process.returncode == 0
        return Counter(json.loads(text))


if __name__ == "__main__":
    kind, location, stop = sys.argv[1:]
    print(json.dumps(look(Place(kind, location), Path(stop))))
