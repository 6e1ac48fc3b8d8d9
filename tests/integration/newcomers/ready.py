"""A process that has imported what commands import, and forks for each: seconds become tenths of one.

Each command is a process of its own all the same, with its own arguments, environment and standard streams, and runs
the real `main`. The parent starts no thread and opens nothing, so a child begins as a new interpreter would.
"""

import ctypes
import json
import os
import runpy
import subprocess
import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any

CLONE_NEWNS = 0x00020000
IMPORTED = (
    "lockstep.cli.main",
    "mlflow",
    "mlflow.pyfunc",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.store.model_registry.sqlalchemy_store",
    "pyarrow.parquet",
    "pyarrow.dataset",
    "pandas",
    "duckdb",
    "psycopg",
    "great_expectations",
    "lockstep.steps.plan",
    "lockstep.steps.gate",
    "lockstep.steps.materialize",
    "lockstep.scaffold.writing",
    "lockstep.serving.assembly",
    "lockstep.client",
)
_KEEPERS: list[int] = []


def main() -> None:
    """Run each line, a command as JSON; its exit code is written to a file of its own."""
    for name in IMPORTED:
        import_module(name)
    print("ready", flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        keeper = os.fork()
        if not keeper:
            _keep(asked)
        _KEEPERS.append(keeper)
    for keeper in _KEEPERS:
        os.waitpid(keeper, 0)


def _keep(asked: "dict[str, Any]") -> None:
    """Start a command, wait for it, and write down how it ended."""
    child = os.fork()
    if not child:
        _become(asked)
    _, status = os.waitpid(child, 0)
    Path(asked["code"] + ".new").write_text(str(os.waitstatus_to_exitcode(status)))
    Path(asked["code"] + ".new").rename(asked["code"])
    os._exit(0)


def _become(asked: "dict[str, Any]") -> None:
    """Be the command, and end."""
    out = os.open(asked["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out, 1)
    os.dup2(out, 2)
    if asked["hide"]:
        _hide(asked["hide"])
    os.environ.clear()
    os.environ.update(asked["environ"])
    sys.argv = ["lockstep", *asked["arguments"]]
    code = 1
    try:
        runpy.run_module("lockstep", run_name="__main__", alter_sys=False)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(bool(end.code))
    except BaseException:  # noqa: BLE001 - as the interpreter does at its end
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _hide(steps: list[str]) -> None:
    """Enter a mount namespace of its own, and run shell commands in it."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS):
        sys.exit(f"unshare: {os.strerror(ctypes.get_errno())}")
    subprocess.run(["sh", "-ec", "; ".join(["mount --make-rprivate /", *steps])], check=True)


if __name__ == "__main__":
    main()
