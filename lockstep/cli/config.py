"""`lockstep config`: every setting as it is now, and who said so."""

import json
import os
from collections.abc import Iterator
from typing import Annotated, Literal

import typer
from pydantic import BaseModel, ConfigDict, Field

from lockstep.cli.examples import examples
from lockstep.cli.options import AsJson
from lockstep.run.submit import data_python
from lockstep.run.training import training_python
from lockstep.services.airflow import control_python
from lockstep.services.ports import DEFAULTS
from lockstep.services.ports import VARIABLES as PORTS
from lockstep.specs.secrets import without_secrets
from lockstep.specs.settings import WAREHOUSE_VARIABLES, Settings
from lockstep.specs.settings_file import Layers, layered
from lockstep.specs.variables import BY_NAME, ONLINE_STORE, PREFIX, PROJECT, SETTINGS_FILE

app = typer.Typer(help="Settings: what they are, and where each comes from.", no_args_is_help=True)


class Setting(BaseModel):
    """A setting as it is now."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str | None = Field(description="Key in a settings file; null: it is set where the process is started.")
    variable: str = Field(description="Environment variable.")
    value: str | None = Field(description="Secrets are replaced by ***; null: there is none.")
    origin: Literal["environment", "file", "default"] = Field(description="Who gave it.")
    line: int | None = Field(None, description="Line of the settings file, for origin 'file'.")


class ConfigShown(BaseModel):
    """What `lockstep config show --json` prints."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str | None = Field(description="The settings file; null: there is none.")
    settings: list[Setting]


@app.callback()
def group() -> None:
    """Settings: what they are, and where each comes from."""


@app.command(
    epilog=examples(
        "lockstep config show --origin",
        "lockstep config show > lockstep.toml",
    )
)
def show(
    origin: Annotated[bool, typer.Option("--origin", help="Say where each comes from.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print every setting, without secrets, in the form of a settings file.

    A flag of a command wins over an environment variable, that over the settings file, and that over the default.
    """
    layers = layered(os.environ)
    shown = ConfigShown(file=str(layers.path) if layers.path else None, settings=list(_settings(layers)))
    if as_json:
        print(shown.model_dump_json())
        return
    for setting in shown.settings:
        print(_line(setting) + (f"  # {_origin(setting, shown.file)}" if origin else ""))


def _settings(layers: Layers) -> Iterator[Setting]:
    settings = Settings.from_env(layers)
    values = _values(layers, settings)
    for name in (SETTINGS_FILE, PROJECT, *BY_NAME, *_stores(layers)):
        given = name in layers.file or bool(layers.get(name))
        value = values.get(name) or (layers.get(name) if given else None)
        key = None if name in {SETTINGS_FILE, PROJECT} else name.removeprefix(PREFIX).lower()
        origin: Literal["environment", "file", "default"] = "default"
        if given:
            origin = "environment" if name in layers.environ else "file"
        line = layers.lines[name] if origin == "file" else None
        yield Setting(key=key, variable=name, value=without_secrets(value) if value else None, origin=origin, line=line)


def _stores(layers: Layers) -> list[str]:
    return sorted(name for name in layers if name.startswith(f"{ONLINE_STORE}_") and layers[name])


def _values(layers: Layers, settings: Settings) -> dict[str, str]:
    """Return what holds, by variable, of what has a default or is made whole."""
    return {
        SETTINGS_FILE: str(layers.path or ""),
        PROJECT: str(settings.project_root),
        "LOCKSTEP_HOME": str(settings.home),
        "LOCKSTEP_DATA": str(settings.data_root),
        "LOCKSTEP_RUNS": str(settings.runs_root),
        "LOCKSTEP_CACHE": str(settings.cache_root),
        "LOCKSTEP_MODELS": str(settings.models_root),
        **{WAREHOUSE_VARIABLES[kind]: place for kind, place in settings.warehouses.items()},
        "LOCKSTEP_WAREHOUSE_WAIT_S": f"{settings.warehouse_wait_s:g}",
        "LOCKSTEP_PARTITION_WAIT_S": f"{settings.partition_wait_s:g}",
        ONLINE_STORE: settings.online_stores["default"],
        "LOCKSTEP_LOG_FORMAT": layers.get("LOCKSTEP_LOG_FORMAT") or "text",
        "LOCKSTEP_SPARK_PROFILE": settings.spark_profile,
        "LOCKSTEP_DEVICE": settings.device,
        "LOCKSTEP_DATA_PYTHON": str(data_python(settings, layers)),
        "LOCKSTEP_TRAINING_PYTHON": str(training_python(settings, layers)),
        "LOCKSTEP_CONTROL_PYTHON": str(control_python(settings, layers)),
        "LOCKSTEP_MLFLOW_URL": settings.mlflow_pages,
        "MLFLOW_TRACKING_URI": settings.tracking_uri,
        "LOCKSTEP_ACTOR": settings.actor,
        **{PORTS[name]: layers.get(PORTS[name]) or str(port) for name, port in DEFAULTS.items()},
    }


def _line(setting: Setting) -> str:
    """Return a line that a settings file may have; a comment where it may not, or where there is no value."""
    kind = BY_NAME[setting.variable].kind if setting.variable in BY_NAME else "text"
    value = setting.value or ""
    told = value if kind in {"seconds", "port"} else json.dumps(value, ensure_ascii=False)
    if setting.key is None:
        return f"# {setting.variable} = {told}"
    return f"{'' if value else '# '}{setting.key} = {told}"


def _origin(setting: Setting, file: str | None) -> str:
    if setting.origin == "file":
        return f"{file}, line {setting.line}"
    return f"environment {setting.variable}" if setting.origin == "environment" else "default"
