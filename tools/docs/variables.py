"""The reference of settings: every variable of the environment, its key in a settings file, and its default."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from lockstep.specs.variables import OF_THE_PROCESS, PROJECT, VARIABLES

ROOT = Path(__file__).resolve().parents[2]
KINDS = {
    "path": "a path on a disk of this machine",
    "place": "a path, or a URL of an object store",
    "uri": "a URI, such as sqlite:///file or http://host:port",
    "text": "text",
    "names": "names, separated by commas; a list in a file",
    "seconds": "a number of seconds",
    "port": "a port",
}
INTRODUCTION = """\
# Settings

A setting comes from the first of these that gives it: an option of the command, an environment variable, the file
`lockstep.toml`, a default. `lockstep config show --origin` prints each with where it comes from. How servers of your
own are named is in [Deployment](../deployment.md). `PROJECT` is the folder of `LOCKSTEP_PROJECT`.

| variable | key in `lockstep.toml` | value | default | meaning |
|---|---|---|---|---|"""
# Whoever runs the command, which is nothing to print.
OF_THE_USER = {"LOCKSTEP_ACTOR": "the user"}


def reference() -> str:
    """Return the page."""
    default = {name: f"`{value}`" for name, value in defaults().items()} | OF_THE_USER
    rows = (f"| `{v.name}` | `{v.key}` | {KINDS[v.kind]} | {default.get(v.name, '–')} | {v.what} |" for v in VARIABLES)
    process = (f"| `{name}` | – | {KINDS['path']} | – | {what} |" for name, what in OF_THE_PROCESS.items())
    return "\n".join((INTRODUCTION, *rows, *process)) + "\n"


def defaults() -> dict[str, str]:
    """Return what holds where nobody says anything, as the command tells it of an empty project."""
    with tempfile.TemporaryDirectory() as empty:
        project = str(Path(empty).resolve())
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("LOCKSTEP_", "MLFLOW_"))}
        environ |= {PROJECT: project, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "lockstep", "config", "show", "--json"]
        answer = subprocess.run(command, cwd=project, env=environ, capture_output=True, text=True, check=True)
        settings = json.loads(answer.stdout)["settings"]
    given = {each["variable"]: each["value"] for each in settings if each["origin"] == "default" and each["value"]}
    return {name: value.replace(project, "PROJECT") for name, value in given.items()}
