"""The settings file: `lockstep.toml` in the project folder, beneath the environment variables.

Its keys are those of `lockstep.specs.variables`. Relative paths in it begin at its own folder, so that it means the
same to a shell, to Airflow and to a Spark driver, whatever folder they run in.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lockstep.errors import LockstepError, SettingsError
from lockstep.errors.suggestions import did_you_mean
from lockstep.specs.shipped import checkout
from lockstep.specs.variables import BY_KEY, OF_THE_PROCESS, PREFIX, PROJECT, SETTINGS_FILE, Variable, of_key

FILE = "lockstep.toml"
EXPECTED = {
    "path": "a path, in quotes",
    "place": "a path or a URL, in quotes",
    "uri": "a URI, in quotes",
    "text": "a text, in quotes",
    "names": "a text, or a list of texts",
    "seconds": "a number of seconds, 0 or more",
    "port": "a port, 1 to 65535",
}
MAX_PORT = 65_535
SQLITE = "sqlite:///"


class SettingsFileInvalid(SettingsError):
    """The settings file cannot be used; the message names the file, the line and the key."""

    code = "LS3010"

    def __init__(self, path: Path, problem: str) -> None:
        LockstepError.__init__(self, f"settings file {path}: {problem}")


@dataclass(frozen=True)
class Layers(Mapping[str, str]):
    """Environment variables over the values of a settings file: what a name is, and who said so.

    Attributes:
        environ: Variables of the process.
        file: Values of the settings file, by the variable's name.
        path: The file; None when there is none.
        lines: Where in the file each value is.
    """

    environ: Mapping[str, str]
    file: Mapping[str, str] = field(default_factory=dict)
    path: Path | None = None
    lines: Mapping[str, int] = field(default_factory=dict)

    def __getitem__(self, name: str) -> str:
        """Return the value of a variable."""
        return self.environ[name] if name in self.environ else self.file[name]

    def __iter__(self) -> Iterator[str]:
        """Yield the names of all variables."""
        yield from self.environ
        yield from (name for name in self.file if name not in self.environ)

    def __len__(self) -> int:
        """Return how many there are."""
        return sum(1 for _ in self)

    def origin(self, name: str) -> str:
        """Say who gave a value: the environment, a line of the file, or nobody (`default`)."""
        if name in self.environ:
            return f"environment {name}"
        return f"file {self.path}, line {self.lines[name]}" if name in self.file else "default"

    def refusal(self, name: str, *, got: str, expected: str) -> SettingsError:
        """Return the error of a value, which names its variable, or the place in the file that it is from."""
        if self.path is None or name in self.environ or name not in self.file:
            return SettingsError(name, got=got, expected=expected)
        problem = f"line {self.lines[name]}, key {_key(name)}: it is {got!r}; expected {expected}"
        return SettingsFileInvalid(self.path, problem)


def layered(environ: Mapping[str, str]) -> Layers:
    """Lay environment variables over the settings file that they, or the place of the project, name.

    Args:
        environ: Usually `os.environ`; layers are returned as they are.

    Raises:
        SettingsFileInvalid: The file is named and not there, or has something that is no setting.
    """
    if isinstance(environ, Layers):
        return environ
    path = settings_file(environ)
    if path is None:
        return Layers(environ)
    text = _read(path)
    lines = _lines(text)
    values = {variable.name: value for variable, value in _values(path, text, lines)}
    return Layers(environ, values, path, {name: lines[_key(name)] for name in values})


def settings_file(environ: Mapping[str, str]) -> Path | None:
    """Return the settings file: the one that LOCKSTEP_SETTINGS names, else that of the project, if there is one."""
    if named := environ.get(SETTINGS_FILE):
        return Path(named).absolute()
    path = project_root(environ) / FILE
    return path if path.is_file() else None


def project_root(environ: Mapping[str, str]) -> Path:
    """Return the project folder: LOCKSTEP_PROJECT, else the repository that this code is of, else this folder."""
    return Path(environ.get(PROJECT) or checkout() or Path.cwd()).absolute()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SettingsFileInvalid(path, f"it does not exist; {SETTINGS_FILE} (or --settings) names it") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SettingsFileInvalid(path, f"it cannot be read: {reason}") from error


def _values(path: Path, text: str, lines: Mapping[str, int]) -> Iterator[tuple[Variable, str]]:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsFileInvalid(path, f"it is not TOML: {error}") from None
    for key, value in document.items():
        variable, where = of_key(key), f"line {lines.get(key, 1)}, key {key}"
        if variable is None:
            raise SettingsFileInvalid(path, f"{where}: {_unknown(key)}")
        told = _text(variable, value, folder=path.parent)
        if told is None:
            # Not repeated: who mistakes a key may have written a secret there.
            raise SettingsFileInvalid(path, f"{where}: expected {EXPECTED[variable.kind]}, got {_type(value)}")
        yield variable, told


def _unknown(key: str) -> str:
    process = next((name for name in OF_THE_PROCESS if name in {key.upper(), PREFIX + key.upper()}), None)
    if process is not None:
        return f"it is set where the process is started, as {process}, since it says which file is read"
    known = ", ".join(sorted(BY_KEY))
    return f"unknown key.{did_you_mean(key.lower().removeprefix(PREFIX.lower()), BY_KEY)} Known keys: {known}"


def _text(variable: Variable, value: Any, *, folder: Path) -> str | None:
    """Return a value as the variable would have it; None when it is of another type."""
    if variable.kind in {"seconds", "port"}:
        return _number(variable, value)
    if variable.kind == "names" and isinstance(value, list) and all(isinstance(name, str) for name in value):
        return ",".join(value)
    if not isinstance(value, str):
        return None
    is_path = variable.kind == "path" or (variable.kind == "place" and not re.match(r"\w+:", value))
    if is_path and value and "://" not in value:
        return str(folder / Path(value).expanduser())
    if variable.kind == "uri" and value.startswith(SQLITE):
        return SQLITE + str(folder / value.removeprefix(SQLITE))
    return value


def _number(variable: Variable, value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if variable.kind == "port":
        return str(value) if isinstance(value, int) and 0 < value <= MAX_PORT else None
    return str(value) if 0 <= value < float("inf") else None


def _type(value: Any) -> str:
    names = {str: "a text", bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "a table"}
    return names.get(type(value), type(value).__name__)


def _lines(text: str) -> dict[str, int]:
    """Return the line on which each key at the top is first written."""
    found: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if match := re.match(r"\s*\[*\s*[\"']?([\w-]+)[\"']?\s*[\].=]", line):
            found.setdefault(match[1], number)
    return found


def _key(name: str) -> str:
    return name.removeprefix(PREFIX).lower()
