"""A standalone Spark cluster of three hosts with a store of objects, and runs on it."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from lockstep.run.folder import PLAN, RunFolder
from lockstep.run.java import find_java_home
from lockstep.storage.files import location
from lockstep.storage.objects import ObjectPath
from tests.cluster.hosts import Hosts
from tests.integration.kill_runs import Template
from tests.integration.s3_server import client_env, s3_server

ROOT = Path(__file__).parents[2]
WORKERS = ("worker1", "worker2", "worker3")
NAMES = ("driver", "master", "store", *WORKERS)
MASTER_PORT, GATE_PORT = 7077, 8333
READY_S = 90.0
# What a worker host can send: files take seconds to store, so that there is a middle of a run in which to hurt it.
RATE = "6mbit"
PROFILE = """\
# Builds on: standalone.
# Three hosts of one core each.
spark.master                      spark://{master}:{port}
spark.driver.host                 {driver}
spark.driver.bindAddress          {driver}
spark.driver.memory               600m
spark.executor.memory             600m
spark.executor.cores              1
spark.cores.max                   3
spark.executor.instances          3
spark.dynamicAllocation.enabled   false
spark.sql.shuffle.partitions      3
spark.executorEnv.PYTHONPATH      {root}
# Small Java processes: three executors and a driver share two cores.
spark.driver.extraJavaOptions     -XX:+UseSerialGC -XX:TieredStopAtLevel=1
spark.executor.extraJavaOptions   -XX:+UseSerialGC -XX:TieredStopAtLevel=1
"""
FoundT = TypeVar("FoundT")


def until(find: Callable[[], FoundT], *, within_s: float, what: str) -> FoundT:
    """Ask again and again until the answer is true; return it."""
    deadline = time.monotonic() + within_s
    while not (found := find()):
        assert time.monotonic() < deadline, f"not within {within_s:.0f} s: {what}"
        time.sleep(0.2)
    return found


def listens(address: tuple[str, int]) -> bool:
    """Whether somebody takes connections there."""
    try:
        with socket.create_connection(address, timeout=1):
            return True
    except OSError:
        return False


@dataclass
class Cluster:
    """Hosts, their daemons, and the environment of whoever uses them; the tests are on the host `driver`."""

    scratch: Path
    hosts: Hosts
    env: dict[str, str] = field(default_factory=dict)
    gate: "subprocess.Popen[bytes] | None" = None
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @classmethod
    @contextlib.contextmanager
    def started(cls, scratch: Path) -> Iterator["Cluster"]:
        """Start all of it; the body is on the driver's host."""
        made = cls(scratch, Hosts(NAMES, scratch / "private"))
        with made._stack:
            made._stack.callback(made.hosts.remove)
            made.hosts.make()
            made._stack.enter_context(made.hosts.inside("driver"))
            made._start_store()
            made._start_spark()
            yield made

    def daemon(self, host: str, name: str, command: list[str], env: Mapping[str, str]) -> "subprocess.Popen[bytes]":
        """Start a process on a host that lasts as long as the cluster."""
        log = self._stack.enter_context((self.scratch / f"{name}.log").open("ab"))
        process = subprocess.Popen(
            self.hosts.command(host, command),
            env={**os.environ, **env},
            cwd=self.scratch,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._stack.callback(_end, process)
        return process

    def _start_store(self) -> None:
        host = self.hosts.address("store")
        server = s3_server(self.scratch / "store", host=host, on_host=self.hosts.command("store", []))
        url = self._stack.enter_context(server).url
        port = url.rpartition(":")[2]
        command = [sys.executable, str(Path(__file__).parent / "gate.py"), host, str(GATE_PORT), host, port]
        self.gate = self.daemon("store", "gate", command, {})
        until(lambda: listens((host, GATE_PORT)), within_s=READY_S, what="the gate of the store")
        self.env = client_env(f"http://{host}:{GATE_PORT}")
        os.environ |= self.env
        import boto3

        for bucket in ("runs", "data", "models"):
            until(lambda name=bucket: _made(boto3.client("s3"), name), within_s=READY_S, what=f"bucket {bucket}")

    def _start_spark(self) -> None:
        project = self.scratch / "project"
        project.mkdir()
        for part in ("dags", "jobs", "lockstep", "models", "requirements", "udfs"):
            (project / part).symlink_to(ROOT / part)
        (project / "spark-conf").mkdir()
        for file in (ROOT / "spark-conf").iterdir():
            (project / "spark-conf" / file.name).symlink_to(file)
        master, driver = self.hosts.address("master"), self.hosts.address("driver")
        text = PROFILE.format(master=master, port=MASTER_PORT, driver=driver, root=ROOT)
        (project / "spark-conf" / "three.conf").write_text(text)
        java = find_java_home(os.environ, cache_root=self.scratch)
        self.env |= {
            "LOCKSTEP_PROJECT": str(project),
            "LOCKSTEP_HOME": str(self.scratch / "home"),
            "LOCKSTEP_RUNS": "s3://runs",
            "LOCKSTEP_SPARK_PROFILE": "three",
            "LOCKSTEP_DATA_PYTHON": sys.executable,
            "PYTHONPATH": str(ROOT),
            "JAVA_HOME": str(java),
            "PYSPARK_PYTHON": sys.executable,
        }
        small = {"SPARK_DAEMON_MEMORY": "256m", "SPARK_DAEMON_JAVA_OPTS": "-XX:+UseSerialGC -Dspark.worker.timeout=30"}
        start = [str(Path(sys.executable).parent / "spark-class"), "org.apache.spark.deploy.master.Master"]
        where = ["--host", master, "--port", str(MASTER_PORT), "--webui-port", "0"]
        self.daemon("master", "master", [*start, *where], {**self.env, **small, "SPARK_LOCAL_IP": master})
        until(lambda: listens((master, MASTER_PORT)), within_s=READY_S, what="the master")
        self._small = small
        for worker in WORKERS:
            self.start_worker(worker)

    def start_worker(self, name: str) -> None:
        """Start a worker host's daemon, the first time or after a crash."""
        address = self.hosts.address(name)
        start = [str(Path(sys.executable).parent / "spark-class"), "org.apache.spark.deploy.worker.Worker"]
        own = ["--cores", "1", "--memory", "768m", "--host", address, "--webui-port", "0"]
        own += ["--work-dir", str(self.hosts.private / "work")]
        local = {"SPARK_LOCAL_IP": address, "SPARK_LOCAL_DIRS": str(self.hosts.private), "TMPDIR": "/tmp"}
        url = f"spark://{self.hosts.address('master')}:{MASTER_PORT}"
        self.daemon(name, name, [*start, *own, url], {**self.env, **self._small, **local})
        self.hosts.slow_down(name, RATE)

    def shut_store(self) -> None:
        """Let the store answer 503 from now on."""
        assert self.gate is not None
        os.kill(self._gate_pid(), signal.SIGUSR1)

    def reopen_store(self) -> None:
        """Let the store work again."""
        os.kill(self._gate_pid(), signal.SIGUSR2)

    def _gate_pid(self) -> int:
        for pid in self.hosts.pids("store"):
            if b"gate.py" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
        raise AssertionError("the gate of the store has ended")

    def put_run(self, template: Template, name: str) -> RunFolder:
        """Put a planned run, and its model, into the store."""
        plan = RunFolder(template.path).plan(step="test")
        model = ObjectPath.parse(f"s3://models/{plan.model.name}-{plan.model.version}")
        if not model.exists():
            upload(Path(plan.model.location), model)
        folder = RunFolder.at(f"s3://runs/{plan.spec.name}-{name}/{plan.partition}/{plan.run_key}")
        upload(template.path, location(str(folder.path)))
        own = {"model": plan.model.model_copy(update={"location": str(model)})}
        own["cache_root"] = str(self.hosts.private / "cache")
        folder.write_json(PLAN, plan.model_copy(update=own))
        return folder

    def lockstep(self, *arguments: str, log: str) -> "subprocess.Popen[bytes]":
        """Start a `lockstep` command on the driver's host."""
        with (self.scratch / log).open("wb") as stream:
            return subprocess.Popen(
                [sys.executable, "-m", "lockstep", *arguments],
                env={**os.environ, **self.env},
                cwd=self.scratch,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def score(self, folder: RunFolder) -> "subprocess.Popen[bytes]":
        """Start to score a run on the cluster."""
        return self.lockstep("step", "score", "--run-folder", str(folder.path), log="score.log")

    def said(self, log: str = "score.log") -> str:
        """Return the end of what a command wrote."""
        return (self.scratch / log).read_text(errors="replace")[-4000:]


def results(folder: RunFolder) -> list[str]:
    """Return the finished attempts of a run."""
    return [name for name in folder.names("staging") if name.endswith(".json")]


def check_no_orphans(folder: RunFolder) -> None:
    """What the manifest names lies in staging and quarantine, and nothing else; no queue is left."""
    named: set[str] = set()
    for unit in folder.manifest(step="test").units:
        named |= {unit.staged, unit.staged.replace(".parquet", ".json"), *filter(None, [unit.quarantined])}
    assert {*folder.names("staging"), *folder.names("quarantine")} == named
    assert folder.names("queue") == []


def hosts_of(folder: RunFolder) -> Counter[str]:
    """Say how many finished attempts each worker process told of, by its progress."""
    return Counter(name.rpartition("/")[2] for name in folder.names("progress"))


def upload(source: Path, target: "ObjectPath | Path") -> None:
    """Put all files of a folder into a store."""
    assert isinstance(target, ObjectPath)
    for file in sorted(source.rglob("*")):
        if file.is_file():
            (target / file.relative_to(source).as_posix()).put(file)


def _made(client: object, bucket: str) -> bool:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        client.create_bucket(Bucket=bucket)  # type: ignore[attr-defined]
    except (BotoCoreError, ClientError):
        return False
    return True


def _end(process: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
