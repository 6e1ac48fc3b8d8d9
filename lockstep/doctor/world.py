"""What the checks look at: the settings as far as they are valid, the specs, and the interpreters."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from lockstep.errors import LockstepError, SettingsError
from lockstep.run.logs import is_json
from lockstep.run.submit import data_python, step_env
from lockstep.run.training import training_python
from lockstep.services.airflow import control_python
from lockstep.services.ports import VARIABLES as PORTS
from lockstep.services.ports import port_of
from lockstep.specs.loading import LoadedSpec, load_spec, spec_files
from lockstep.specs.settings import Settings
from lockstep.specs.settings_file import Layers, layered
from lockstep.specs.variables import BY_NAME, ONLINE_STORE, PREFIX, PROJECT

NAMES = ("control", "data", "training")
PROBE = "lockstep.doctor.probe"


class Asking(Protocol):
    """How another interpreter is asked; see `Asker`."""

    def ask(self, command: Sequence[str]) -> Any:
        """Return what a program prints."""


@dataclass(frozen=True)
class World:
    """What the checks look at.

    Attributes:
        environ: Variables of this process.
        layers: Those, over the settings file.
        settings: What follows from the valid ones.
        mistakes: What is wrong with the others, one text each.
        specs: Valid specs.
        bad_specs: What is wrong with the others, by file.
        asking: Asks other interpreters.
    """

    environ: Mapping[str, str]
    layers: Layers
    settings: Settings
    asking: Asking
    mistakes: tuple[str, ...] = ()
    specs: tuple[LoadedSpec, ...] = ()
    bad_specs: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_checkout(self) -> bool:
        """Whether the project has environments of its own, or is to have them: it holds their locks."""
        return (self.settings.project_root / "requirements" / "data.lock").is_file()

    def python(self, name: str) -> Path:
        """Return the interpreter of an environment: the one that is set or made, else the one that this runs in."""
        find = {"data": data_python, "training": training_python, "control": control_python}[name]
        found = find(self.settings, self.layers)
        given = bool(self.layers.get(f"{PREFIX}{name.upper()}_PYTHON"))
        return found if given or self.is_checkout or found.is_file() else Path(sys.executable)

    def probe(self, *arguments: str) -> Any:
        """Ask the data environment something that needs its libraries; see `lockstep.doctor.probe`."""
        return self.asking.ask([str(self.python("data")), "-m", PROBE, *arguments])


def look_around(environ: Mapping[str, str], asking: Asking) -> World:
    """Return what there is to look at, whatever is wrong with it.

    Args:
        environ: Usually `os.environ`.
        asking: Asks other interpreters.
    """
    layers, mistakes = _layers(environ)
    valid, more = _valid(layers)
    settings = Settings.from_env(valid)
    world = World(environ, valid, settings, asking, mistakes=(*mistakes, *more))
    specs, bad = _specs(settings.models_root)
    return replace(world, specs=specs, bad_specs=bad)


def child_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a program that is asked: the same settings, as far as they are valid."""
    valid, _ = _valid(_layers(environ)[0])
    told = {name: value for name, value in environ.items() if name in valid}
    return {**told, **step_env(Settings.from_env(valid)), "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}


def _layers(environ: Mapping[str, str]) -> tuple[Layers, list[str]]:
    try:
        return layered(environ), []
    except SettingsError as error:
        return Layers(environ), [str(error)]


def _valid(layers: Layers) -> tuple[Layers, list[str]]:
    """Return the layers without the values that are none, and what is wrong with those."""
    mistakes, bad = [], set()
    names = [name for name in layers if name in BY_NAME or name.startswith(f"{ONLINE_STORE}_")]
    for name in names:
        only = Layers(
            {key: value for key, value in layers.environ.items() if key in {name, PROJECT}},
            {key: value for key, value in layers.file.items() if key == name},
            layers.path,
            layers.lines,
        )
        try:
            Settings.from_env(only)
            is_json(only)
            for service in PORTS:
                port_of(service, only)
        except SettingsError as error:
            mistakes.append(str(error))
            bad.add(name)
    environ = {name: value for name, value in layers.environ.items() if name not in bad}
    # Not those of the file either: a bad variable would lay bare what it hides.
    file = {name: value for name, value in layers.file.items() if name not in bad}
    return Layers(environ, file, layers.path, layers.lines), mistakes


def _specs(root: Path) -> tuple[tuple[LoadedSpec, ...], dict[str, str]]:
    found, bad = [], {}
    for path in spec_files(root):
        try:
            found.append(load_spec(path))
        except LockstepError as error:
            bad[str(path)] = " ".join(str(error).split("\n")[1:]).strip() or str(error)
    return tuple(found), bad
