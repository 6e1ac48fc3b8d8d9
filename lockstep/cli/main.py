"""The `lockstep` command: registers the sub-commands and turns errors into one message and an exit code."""

import contextlib
import json
import logging
import os
import signal
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Annotated, NoReturn

import typer

import lockstep
from lockstep.cli import (
    canary,
    check,
    config,
    demo,
    doctor,
    explain,
    gateway,
    history,
    init,
    key,
    labels,
    model,
    online,
    package,
    parity,
    predict,
    report,
    rollback,
    run,
    serve,
    spec,
    step,
    trial,
    up,
)
from lockstep.cli.examples import examples
from lockstep.cli.installation import check_caller, missing_library
from lockstep.errors import LockstepError, SettingsError, told
from lockstep.run.exit_codes import BUG, INTERRUPTED, MEANINGS, exit_code
from lockstep.run.logs import configure_logs, is_json
from lockstep.specs.settings import TELEMETRY_OFF
from lockstep.specs.settings_file import FILE
from lockstep.specs.variables import PROJECT, SETTINGS_FILE

EXIT_CODE_HELP = f"Exit codes: {', '.join(f'{code} {word}' for code, (word, _) in MEANINGS.items())}."
FIRST = examples(
    "lockstep demo",
    "lockstep run flight_delay --date 2013-08-01",
    "lockstep doctor",
)
# Says what is wrong with the settings, so it begins whatever is.
FIND_OUT = ("doctor",)
log = logging.getLogger("lockstep")
app = typer.Typer(
    name="lockstep",
    help="One registered model, scored the same everywhere.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"lockstep {lockstep.__version__}")
        raise typer.Exit


@app.callback(epilog=f"{EXIT_CODE_HELP}\n\n{FIRST}")
def top(
    ctx: typer.Context,
    settings: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Settings file; also LOCKSTEP_SETTINGS [default: lockstep.toml of this folder, else of the project].",
        ),
    ] = None,
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """One registered model, scored the same everywhere."""
    if settings is None and not {SETTINGS_FILE, PROJECT} & os.environ.keys() and Path(FILE).is_file():
        settings = Path(FILE)
    if settings is not None:
        os.environ[SETTINGS_FILE] = str(settings.absolute())  # children read it too
    lenient = contextlib.suppress(SettingsError) if ctx.invoked_subcommand in FIND_OUT else contextlib.nullcontext()
    with lenient:
        configure_logs(os.environ)


app.command("init", epilog=init.EXAMPLES)(init.command)
app.command("check", epilog=check.EXAMPLES)(check.command)
app.command("run", epilog=run.EXAMPLES)(run.command)
app.command("package", epilog=package.PACKAGE_EXAMPLES)(package.command)
app.command("profile", epilog=package.PROFILE_EXAMPLES)(package.profile)
app.command("serve", epilog=serve.EXAMPLES)(serve.command)
app.command("serve-worker", hidden=True)(serve.worker)
app.command("predict", epilog=predict.EXAMPLES)(predict.command)
app.command("up", epilog=up.EXAMPLES)(up.command)
app.command("demo", epilog=demo.EXAMPLES)(demo.command)
app.command("doctor", epilog=doctor.EXAMPLES)(doctor.command)
app.command("history", epilog=history.HISTORY_EXAMPLES)(history.history)
app.command("diff", epilog=history.DIFF_EXAMPLES)(history.diff)
app.command("rollback", epilog=rollback.ROLLBACK_EXAMPLES)(rollback.rollback)
app.command("vacuum", epilog=rollback.VACUUM_EXAMPLES)(rollback.vacuum)
app.command("explain", epilog=explain.EXAMPLES)(explain.command)
app.add_typer(parity.app, name="parity", help="Compare the endpoint with the batch, bit for bit.")
app.add_typer(spec.app, name="spec")
app.add_typer(config.app, name="config")
app.add_typer(step.app, name="step")
app.add_typer(model.app, name="model")
app.add_typer(key.app, name="key")
app.add_typer(canary.app, name="canary")
app.add_typer(gateway.app, name="gateway")
app.add_typer(online.app, name="online")
app.add_typer(report.app, name="report")
app.add_typer(labels.app, name="labels")
app.add_typer(trial.app, name="trial")

# What DuckDB raises when Ctrl-C comes during a query.
DUCKDB_INTERRUPTED = "Query interrupted"


def main() -> None:
    """Run the command line."""
    for name, value in TELEMETRY_OFF.items():
        os.environ.setdefault(name, value)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        check_caller(os.environ)
        app(prog_name="lockstep")  # also as `python -m lockstep`
    except LockstepError as error:
        _end(error)
    except Exception as error:  # a bug of ours, or a library that is not there
        if str(error) == DUCKDB_INTERRUPTED:
            sys.exit(INTERRUPTED)
        if isinstance(error, ModuleNotFoundError) and (missing := missing_library(error, command=_command())):
            _end(missing)
        if _logs_json():
            log.critical("bug: %s; please report it", type(error).__name__, exc_info=True)
            sys.exit(BUG)
        if not sys.stderr.isatty():
            raise  # a log wants the whole of it
        print(f"lockstep: bug: {type(error).__name__}; please report it with {_keep_traceback()}", file=sys.stderr)
        sys.exit(BUG)


def _end(error: LockstepError) -> NoReturn:
    if "--json" in sys.argv:
        print(json.dumps({**_facts(error), "message": str(error)}))
    _tell(error)
    sys.exit(exit_code(error))


def _command() -> str:
    return next((word for word in sys.argv[1:] if not word.startswith("-")), "")


def _tell(error: LockstepError) -> None:
    if _logs_json():
        log.error("%s", error, extra={"facts": _facts(error)})
    else:
        print(told(error), file=sys.stderr)


def _facts(error: LockstepError) -> dict[str, object]:
    return {"error": type(error).__name__, "code": error.code, "retryable": error.retryable}


def _logs_json() -> bool:
    with contextlib.suppress(SettingsError):
        return is_json(os.environ)
    return False


def _keep_traceback() -> str:
    """Write the traceback of the current exception to a file of its own; return its path."""
    with tempfile.NamedTemporaryFile("w", prefix="lockstep-", suffix=".traceback", delete=False) as file:
        file.write(traceback.format_exc())
    return file.name
