"""The MLflow server: a window on the store that all steps read directly; it hands out no artifacts."""

import os
from pathlib import Path

from lockstep.run.submit import data_python, step_env
from lockstep.services.ports import LOOPBACK, Ports, answers
from lockstep.services.process import Component
from lockstep.specs.settings import TELEMETRY_OFF, Settings

SQLITE = "sqlite:///"


def mlflow_server(settings: Settings, *, ports: Ports) -> Component | None:
    """Return the server of the local store; None when the tracking URI names a server that runs elsewhere."""
    if not settings.tracking_uri.startswith(SQLITE):
        return None
    store = Path(settings.tracking_uri.removeprefix(SQLITE))
    store.parent.mkdir(parents=True, exist_ok=True)
    url = f"http://{LOOPBACK}:{ports.mlflow}"
    command = [
        str(data_python(settings, os.environ)),
        *("-m", "mlflow", "server", "--host", LOOPBACK, "--port", str(ports.mlflow), "--workers", "1"),
        *("--backend-store-uri", settings.tracking_uri),
        # Clients read and write artifacts as files; the server is not in between.
        *("--default-artifact-root", (store.parent / "artifacts").as_uri(), "--no-serve-artifacts"),
    ]
    return Component(
        name="mlflow",
        command=command,
        # Its job runner starts a dozen processes for features (LLM judges) that are not used here.
        env={**os.environ, **step_env(settings), **TELEMETRY_OFF, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        cwd=store.parent,
        ready=lambda: answers(f"{url}/health"),
        ready_timeout_s=120.0,
    )
