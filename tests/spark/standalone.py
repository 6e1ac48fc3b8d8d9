"""A small real cluster: a Spark master and two workers of one core, which to Spark are two hosts."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from lockstep.run.processes import stop

HOSTS = ("127.0.0.1", "127.0.0.2")  # Linux answers for all of 127.0.0.0/8
DEADLINE_S = 60.0
SHORT_JOBS = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"  # of Java: half the processor time of a short job


@contextlib.contextmanager
def cluster(scratch: Path, env: Mapping[str, str]) -> Iterator[str]:
    """Start a cluster and give its URL; stop it at the end."""
    with socket.socket() as probe:
        probe.bind((HOSTS[0], 0))
        port = probe.getsockname()[1]
    url = f"spark://{HOSTS[0]}:{port}"
    own = {"SPARK_DAEMON_MEMORY": "256m", "SPARK_DAEMON_JAVA_OPTS": SHORT_JOBS}
    with contextlib.ExitStack() as stack:

        def start(role: str, *args: str, host: str) -> None:
            command = [str(Path(sys.executable).parent / "spark-class"), f"org.apache.spark.deploy.{role}", *args]
            log = stack.enter_context((scratch / f"{role}-{host}.log").open("wb"))
            child = subprocess.Popen(
                [*command, "--host", host, "--webui-port", "0"],
                env={**os.environ, **own, **env, "SPARK_LOCAL_IP": host},
                cwd=scratch,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            stack.callback(stop, child)

        start("master.Master", "--port", str(port), host=HOSTS[0])
        wait_for_port(port)
        for host in HOSTS:
            start(
                "worker.Worker", "--cores", "1", "--memory", "768m", "--work-dir", f"{scratch}/{host}", url, host=host
            )
        yield url


def wait_for_port(port: int) -> None:
    """Wait until somebody listens."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            with socket.create_connection((HOSTS[0], port), timeout=1):
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
