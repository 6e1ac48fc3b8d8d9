"""The reference of settings: every variable of the environment, and its key in a settings file."""

from lockstep.specs.variables import OF_THE_PROCESS, VARIABLES

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
own are named is in [Deployment](../deployment.md).

| variable | key in `lockstep.toml` | value | meaning |
|---|---|---|---|"""


def reference() -> str:
    """Return the page."""
    rows = (f"| `{v.name}` | `{v.key}` | {KINDS[v.kind]} | {v.what} |" for v in VARIABLES)
    process = (f"| `{name}` | – | {KINDS['path']} | {what} |" for name, what in OF_THE_PROCESS.items())
    return "\n".join((INTRODUCTION, *rows, *process)) + "\n"
