"""Feast's HTTP feature server: a real one where Feast is installed, and one that answers as that one was seen to do.

Feast's requirements disagree with those of the data environment, so it has an environment of its own, which
`LOCKSTEP_FEAST` names by its `feast` command. Both servers have the same rows; `STORE` says which.
"""

import contextlib
import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from lockstep.services.ports import LOOPBACK

READY_S = 90.0
# Feast keeps whole seconds.
NOW = datetime.now(UTC).replace(microsecond=0)
NAMES = ("late_share", "parcels", "region", "open", "vector")
# Depot to age and values. Feast turns NaN into null, and gives values older than a view's ttl all the same.
STORE: dict[int, tuple[timedelta, tuple[Any, ...]]] = {
    1: (timedelta(hours=1), (0.1, 5, "N", True, [1.0, 2.0])),
    2: (timedelta(hours=2), (None, None, None, False, [0.5, -2.0])),
    3: (timedelta(days=3), (0.3, 2**40 + 1, "S", True, [0.0, 0.0])),
}
CONFIG = """
project: parcels
registry: data/registry.db
provider: local
online_store: {type: sqlite, path: data/online.db}
entity_key_serialization_version: 3
"""
DEFINITIONS = """
from datetime import timedelta
from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.types import Array, Bool, Float32, Float64, Int64, String
depot = Entity(name="depot", join_keys=["depot_id"], value_type=ValueType.INT64)
source = FileSource(path="data/depots.parquet", timestamp_field="event_timestamp")
kinds = {"late_share": Float64, "parcels": Int64, "region": String, "open": Bool, "vector": Array(Float32)}
fields = [Field(name=name, dtype=kind) for name, kind in kinds.items()]
view = FeatureView(name="depots", entities=[depot], ttl=timedelta(days=1), source=source, schema=fields)
"""


def feast_command() -> str | None:
    """Return the command of an installed Feast, if there is one."""
    found = os.environ.get("LOCKSTEP_FEAST")
    return found if found and Path(found).exists() else None


@contextlib.contextmanager
def real_feast(folder: Path) -> Iterator[str]:
    """Make a feature store and serve it; gives the server's URL."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    command = str(feast_command())
    (folder / "data").mkdir(parents=True)
    (folder / "feature_store.yaml").write_text(CONFIG)
    (folder / "definitions.py").write_text(DEFINITIONS)
    rows = {name: [values[place] for _, values in STORE.values()] for place, name in enumerate(NAMES)}
    times = pa.array([NOW - age for age, _ in STORE.values()], pa.timestamp("us", "UTC"))
    kinds = {
        "vector": pa.array(rows["vector"], pa.list_(pa.float32())),
        "parcels": pa.array(rows["parcels"], pa.int64()),
    }
    pq.write_table(
        pa.table({"depot_id": list(STORE), "event_timestamp": times, **rows, **kinds}), folder / "data/depots.parquet"
    )
    env = {**os.environ, "FEAST_USAGE": "False", "DO_NOT_TRACK": "1"}
    env.pop("PYTHONPATH", None)
    for step in (["apply"], ["materialize", "2000-01-01T00:00:00", "2100-01-01T00:00:00"]):
        subprocess.run([command, *step], cwd=folder, env=env, check=True, capture_output=True, timeout=180)
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        port = int(taken.getsockname()[1])
    with (folder / "serve.log").open("wb") as log:
        serve = [command, "serve", "--host", LOOPBACK, "--port", str(port)]
        process = subprocess.Popen(serve, cwd=folder, env=env, stdout=log, stderr=log, start_new_session=True)
    url = f"http://{LOOPBACK}:{port}"
    try:
        deadline = time.monotonic() + READY_S
        while not _healthy(url):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((folder / "serve.log").read_text())
            time.sleep(0.2)
        yield url
    finally:
        os.killpg(process.pid, 9)  # its workers with it
        process.wait(10)


def _healthy(url: str) -> bool:
    try:
        with urlopen(f"{url}/health", timeout=1):
            return True
    except OSError:
        return False


class FeastLike(ThreadingHTTPServer):
    """Answers as `feast serve` 0.67 does.

    Attributes:
        wait_s: How long it thinks before an answer.
        broken: Sent instead of the right answer: status and body.
        connections: How many were opened.
        requests: How many requests came.
    """

    daemon_threads = True
    wait_s = 0.0
    broken: tuple[int, bytes] | None = None
    connections = 0
    requests = 0

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections += 1
        super().process_request(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FeastLike

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests += 1
        time.sleep(self.server.wait_s)
        status, body = self.server.broken or _answer(asked, self.headers.get("Content-Type"))
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002


def _answer(asked: dict[str, Any], media_type: str | None) -> tuple[int, bytes]:
    if media_type != "application/json":
        return 422, json.dumps({"detail": [{"input": str(asked)}]}).encode()
    depots = asked["entities"].get("depot_id", [])
    wanted = [name.partition(":")[2] for name in asked["features"]]
    if not depots or any(name not in NAMES for name in wanted) or any(isinstance(one, str) for one in depots):
        return 500, json.dumps(f"'something of {asked['entities']} was not found'").encode()
    separator = "__" if asked.get("full_feature_names") else ""
    results = [
        {"values": depots, "statuses": ["PRESENT"] * len(depots), "event_timestamps": [_text(None)] * len(depots)}
    ]
    for name in reversed(wanted):  # in an order of its own
        rows = [STORE.get(one) for one in depots]
        results.append(
            {
                "values": [row and row[1][NAMES.index(name)] for row in rows],
                "statuses": ["PRESENT" if row else "NOT_FOUND" for row in rows],
                "event_timestamps": [_text(row and row[0]) for row in rows],
            }
        )
    names = ["depot_id", *(f"depots{separator}{name}" if separator else name for name in reversed(wanted))]
    return 200, json.dumps({"results": results, "metadata": {"feature_names": names}}).encode()


def _text(age: timedelta | None) -> str:
    moment = datetime.fromtimestamp(0, UTC) if age is None else NOW - age
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@contextlib.contextmanager
def feast_like() -> Iterator[FeastLike]:
    """Serve until the block ends."""
    server = FeastLike((LOOPBACK, 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def url_of(server: FeastLike) -> str:
    """Return where a server is."""
    return f"http://{LOOPBACK}:{server.server_address[1]}"
