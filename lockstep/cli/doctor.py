"""`lockstep doctor`: what this machine lacks, and what to do about it."""

import os
from typing import Annotated

import typer
from rich.text import Text

import lockstep
from lockstep.cli.examples import examples
from lockstep.cli.options import AsJson
from lockstep.cli.terminal import rich_console
from lockstep.doctor.asking import Asker
from lockstep.doctor.diagnosis import CHECKS, diagnose
from lockstep.doctor.finding import Diagnosis, Finding
from lockstep.doctor.world import child_environ, look_around
from lockstep.errors.suggestions import did_you_mean
from lockstep.run.exit_codes import ENVIRONMENT

EXAMPLES = examples("lockstep doctor", "lockstep doctor java mlflow --json")
STYLES = {"ok": "green", "warning": "yellow", "problem": "red"}


def _complete(incomplete: str) -> list[str]:
    return [name for name in CHECKS if name.startswith(incomplete)]


def command(
    checks: Annotated[
        list[str] | None,
        typer.Argument(metavar="[CHECK]...", help=f"{', '.join(CHECKS)}; none: all.", autocompletion=_complete),
    ] = None,
    problems: Annotated[bool, typer.Option("--problems", help="Print problems alone.")] = False,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds that each check may take.")] = 60.0,
    as_json: AsJson = False,
) -> None:
    """Look at environments, Java, settings, services and this machine; say what to do. Changes nothing.

    Exit code 0 when there is no problem, else 4; warnings are none.
    """
    for name in checks or ():
        if name not in CHECKS:
            known = ", ".join(CHECKS)
            raise typer.BadParameter(f"no check {name!r}.{did_you_mean(name, CHECKS)} There are: {known}")
    asker = Asker(child_environ(os.environ), timeout)
    try:
        # The bound of a program that is asked comes first, so that its check can say which one it was.
        found = list(diagnose(look_around(os.environ, asker), checks or (), timeout_s=timeout + 5))
    finally:
        asker.stop()
    healthy = all(one.state != "problem" for one in found)
    if as_json:
        print(Diagnosis(format=1, version=lockstep.__version__, healthy=healthy, findings=found).model_dump_json())
    else:
        _tell([one for one in found if not problems or one.state == "problem"])
    if not healthy:
        raise typer.Exit(ENVIRONMENT)


def _tell(findings: list[Finding]) -> None:
    console = rich_console(soft_wrap=True)
    for one in findings:
        line = Text(f"{one.state:<8}", style=STYLES[one.state])
        advice = f" -> {one.advice}" if one.advice else ""
        console.print(line.append(f" {one.check:<12} {' '.join(one.found.split())}{advice}", style="default"))
