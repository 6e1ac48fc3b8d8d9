"""A real PostgreSQL on the loopback interface, from the package that the project's lock installs."""

import contextlib
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg

from lockstep.services.ports import LOOPBACK
from lockstep.services.postgres import DATABASE, USER, Cluster, prepare_cluster

READY_S = 30.0


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        process: The postmaster.
    """

    cluster: Cluster
    process: "subprocess.Popen[bytes]"

    def location(self, schema: str, *, port: int | None = None) -> str:
        """Return the connection string of a schema, without a password."""
        return f"postgresql://{USER}@{LOOPBACK}:{port or self.cluster.port}/{DATABASE}?options=-csearch_path%3D{schema}"

    def create(self, schema: str) -> str:
        """Create a schema; return its connection string."""
        with psycopg.connect(self.location("public"), password=self.cluster.password, autocommit=True) as connection:
            connection.execute(f'CREATE SCHEMA "{schema}"')
        return self.location(schema)


@contextlib.contextmanager
def running(folder: Path, *, file_blocks: int | None = None) -> Iterator[Server]:
    """Start the cluster of a folder, made if need be; stop it at the end.

    Args:
        folder: Where it lies.
        file_blocks: Size beyond which no file of the server may grow, as `ulimit -f` counts.
    """
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        port = int(taken.getsockname()[1])
    password = secrets.token_hex(16)
    cluster, _ = prepare_cluster(folder / "postgres", password=password, is_new_password=True, port=port)
    component = cluster.component()
    limit = ["sh", "-c", f'ulimit -f {file_blocks}; exec "$@"', "sh"] if file_blocks else []
    with (folder / "postgres.log").open("wb") as log:
        process = subprocess.Popen([*limit, *component.command], env=component.env, cwd="/", stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + READY_S
        while not component.ready():
            assert process.poll() is None, (folder / "postgres.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield Server(cluster, process)
    finally:
        process.send_signal(component.stop_signal)
        process.wait(timeout=30)
