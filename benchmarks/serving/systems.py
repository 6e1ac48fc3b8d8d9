"""The systems: how each one's server is started, and in which formats it is asked. Adding one adds a line."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.job import ROOT, SCRATCH, Job

SERVERS = "benchmarks.serving.servers"


@dataclass(frozen=True)
class System:
    """One server.

    Attributes:
        command: Its command line after the interpreter; `{port}`, `{model}` (registered name), `{version}`, `{path}`
            (the MLflow model) and `{workload}` are filled in.
        ready: Path that answers 200 once requests are welcome.
        protocols: Names in `benchmarks.serving.asking.PROTOCOLS`; the first is what its users would take.
        further: Protocols that are measured only when asked for by name.
        environment: Folder below `.venv/` of its interpreter.
        packages: Whose versions decide its speed.
        variables: Of its environment.
    """

    command: tuple[str, ...]
    ready: str
    protocols: tuple[str, ...]
    further: tuple[str, ...] = ()
    environment: str = "data"
    packages: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return ROOT / ".venv" / self.environment / "bin" / "python"


BARE = "bare"
LOCKSTEP = "lockstep"
MODELS = SCRATCH / "serving" / "models"

SYSTEMS: Mapping[str, System] = {
    BARE: System(
        ("-m", f"{SERVERS}.bare_asgi", "{port}"), "/ready", ("plain",), packages=("uvicorn", "uvloop", "httptools")
    ),
    LOCKSTEP: System(
        ("-m", "lockstep", "serve", "{workload}", "--port", "{port}", "--model-version", "{version}"),
        "/v2/health/ready",
        ("dataframe_split", "v2"),
        further=("dataframe_records", "inputs", "v2-binary"),
        packages=("lockstep",),
        variables={"LOCKSTEP_MODELS": str(MODELS)},
    ),
}


def command_line(system: System, job: Job, *, port: int) -> list[str]:
    """Return the command that starts a server."""
    python = system.python if system.python.exists() else Path(sys.executable)
    facts = {
        "port": str(port),
        "model": job.model_name,
        "version": str(job.model_version),
        "path": job.model_path,
        "workload": job.workload,
    }
    return [str(python), *(part.format(**facts) for part in system.command)]
