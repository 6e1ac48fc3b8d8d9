"""Errors of the local services. All are faults of the machine they run on."""

from collections.abc import Sequence
from pathlib import Path

from lockstep.errors import EnvironmentFault


class ServiceDied(EnvironmentFault):
    """A component ended by itself, or did not become healthy."""

    code = "LS4015"

    def __init__(self, name: str, *, reason: str, tail: Sequence[str]) -> None:
        lines = "\n".join(f"  {line}" for line in tail) or "  (it wrote nothing)"
        super().__init__(f"{name} {reason}, so everything was stopped. Its last lines:\n{lines}")


class PortBusy(EnvironmentFault):
    """A port that was asked for is taken."""

    code = "LS4016"

    def __init__(self, service: str, *, port: int, variable: str) -> None:
        super().__init__(
            f"{service} cannot listen on 127.0.0.1:{port}: another program does already. "
            f"Stop that program, or choose another port with {variable}=<port>."
        )


class AlreadyRunning(EnvironmentFault):
    """A second start in the same home."""

    code = "LS4017"

    def __init__(self, home: Path, *, pid: int | None, urls: Sequence[str]) -> None:
        where = f" ({', '.join(urls)})" if urls else ""
        super().__init__(
            f"the services of {home} are already running under process {pid or 'unknown'}{where}. "
            "Stop them with Ctrl-C there, or set LOCKSTEP_HOME to another folder for a second set."
        )


class DatabaseUnusable(EnvironmentFault):
    """The embedded PostgreSQL cannot be used here."""

    code = "LS4018"

    def __init__(self, folder: Path, *, problem: str, remedy: str) -> None:
        super().__init__(f"the PostgreSQL data folder {folder} cannot be used: {problem}. {remedy}")


class EnvironmentMissing(EnvironmentFault):
    """One of the Python environments is not there."""

    code = "LS4019"

    def __init__(self, path: Path, *, holds: str) -> None:
        super().__init__(f"{path} does not exist; it holds {holds}. Run `make setup` first.")


class CommandFailed(EnvironmentFault):
    """A set-up command of the services failed."""

    code = "LS4020"

    def __init__(self, what: str, *, exit_code: int, tail: Sequence[str]) -> None:
        self.exit_code = exit_code
        lines = "\n".join(f"  {line}" for line in tail) or "  (it wrote nothing)"
        super().__init__(f"{what} failed with exit code {exit_code}. Its last lines:\n{lines}")


class AirflowRefused(EnvironmentFault):
    """Airflow's REST API refused a request."""

    code = "LS4021"

    def __init__(self, request: str, *, status: int, detail: str) -> None:
        self.status = status
        super().__init__(f"Airflow refused {request} with status {status}: {detail}")


class BackfillFailed(EnvironmentFault):
    """A backfill did not end as it should."""

    code = "LS4022"

    def __init__(self, dag_id: str, *, problem: str, tail: Sequence[str]) -> None:
        lines = "\n".join(f"  {line}" for line in tail)
        super().__init__(f"the backfill of {dag_id} failed: {problem}\n{lines}".rstrip())
