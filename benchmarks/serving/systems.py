"""The systems: how each one's server is started, and in which formats it is asked. Adding one adds a line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.job import ROOT, SCRATCH, Job

SERVERS = "benchmarks.serving.servers"


@dataclass(frozen=True)
class System:
    """One server.

    Attributes:
        command: Its command line after the interpreter; `{port}` and further ones, `{model}` (registered name),
            `{version}`, `{path}` (the MLflow model), `{workload}` and `{config}` are filled in, as in `variables`.
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
LOCKSTEP, LOCKSTEP_LOG = "lockstep", "lockstep-log"
MODELS = SCRATCH / "serving" / "models"
LOGS = SCRATCH / "serving" / "inference_log"

MLSERVER = {
    "MLSERVER_HOST": "127.0.0.1",
    "MLSERVER_HTTP_PORT": "{port}",
    "MLSERVER_GRPC_PORT": "{second_port}",
    "MLSERVER_METRICS_PORT": "{third_port}",
    "MLSERVER_PARALLEL_WORKERS": "0",  # the model is called in the server's process: no hop to another
    "MLSERVER_DEBUG": "false",  # no access log
    "MLSERVER_GZIP_ENABLED": "false",
    "MLSERVER_MODEL_NAME": "{model}",
    "MLSERVER_MODEL_URI": "{path}",
}

SYSTEMS: Mapping[str, System] = {
    BARE: System(("-m", f"{SERVERS}.bare_asgi", "{port}"), "/ready", ("plain",), packages=("uvicorn", "uvloop")),
    LOCKSTEP: System(
        ("-m", "lockstep", "serve", "{workload}", "--port", "{port}", "--model-version", "{version}"),
        "/v2/health/ready",
        ("dataframe_split", "inputs", "v2"),
        further=("dataframe_records", "v2-binary"),
        packages=("lockstep",),
        variables={"LOCKSTEP_MODELS": str(MODELS)},
    ),
    LOCKSTEP_LOG: System(
        ("-m", "lockstep", "serve", "--config", "{config}", "--port", "{port}"),
        "/v2/health/ready",
        ("dataframe_split",),
        further=("inputs", "v2"),
        packages=("lockstep",),
        variables={"LOCKSTEP_MODELS": str(MODELS)},
    ),
    "fastapi": System(
        ("-m", f"{SERVERS}.plain_fastapi", "{port}"), "/ready", ("plain",), packages=("fastapi", "uvicorn")
    ),
    "mlflow": System(
        ("-m", "mlflow", "models", "serve", "--model-uri", "{path}", "--env-manager", "local", "--port", "{port}"),
        "/ping",
        ("dataframe_split", "inputs"),
        further=("dataframe_records",),
        packages=("mlflow",),
    ),
    "litserve": System(
        ("-m", f"{SERVERS}.lit_api", "{port}"), "/ready", ("plain",), environment="serving", packages=("litserve",)
    ),
    "bentoml": System(
        ("-m", "bentoml", "serve", f"{SERVERS}.bento_service:service", "--host", "127.0.0.1", "--port", "{port}"),
        "/readyz",
        ("plain",),
        environment="serving",
        packages=("bentoml",),
        variables={"BENTOML_DO_NOT_TRACK": "true", "BENTOML_HOME": str(SCRATCH / "serving" / "bentoml")},
    ),
    "ray": System(
        ("-m", f"{SERVERS}.ray_serve", "{port}", "{second_port}"),
        "/ready",
        ("plain",),
        environment="serving",
        packages=("ray",),
        variables={
            "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
            "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": "{port}",
            "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": "65535",
            "RAY_worker_niceness": "0",  # as all the others
        },
    ),
    "mlserver": System(
        ("-m", "mlserver.cli.main", "start", "."),
        "/v2/health/ready",
        ("v2-matrix",),
        environment="mlserver",
        packages=("mlserver",),
        variables={**MLSERVER, "MLSERVER_MODEL_IMPLEMENTATION": f"{SERVERS}.mlserver_runtime.Scores"},
    ),
    "mlserver-mlflow": System(
        ("-m", "mlserver.cli.main", "start", "."),
        "/v2/health/ready",
        ("v2",),
        further=("dataframe_split",),
        environment="mlserver",
        packages=("mlserver", "mlserver-mlflow", "mlflow"),
        variables={**MLSERVER, "MLSERVER_MODEL_IMPLEMENTATION": "mlserver_mlflow.MLflowRuntime"},
    ),
}


def config_of(job: Job) -> Path:
    """Return the `serving.yaml` of a workload."""
    return MODELS / job.workload / "serving.yaml"


def filled_in(system: System, job: Job, *, ports: Sequence[int]) -> tuple[list[str], dict[str, str]]:
    """Return the command that starts a server, and the variables that are its own."""
    facts = {
        **dict(zip(("port", "second_port", "third_port"), map(str, ports), strict=True)),
        "model": job.model_name,
        "version": str(job.model_version),
        "path": job.model_path,
        "workload": job.workload,
        "config": str(config_of(job)),
    }
    command = [str(system.python), *(part.format(**facts) for part in system.command)]
    return command, {name: value.format(**facts) for name, value in system.variables.items()}
