"""`lockstep spec`: validate, show and describe scoring specs."""

import sys
from pathlib import Path
from typing import Annotated

import typer
import yaml

from lockstep.cli.examples import examples
from lockstep.cli.options import SpecName, loaded_spec, settings
from lockstep.errors import SpecError, told
from lockstep.run.exit_codes import exit_code
from lockstep.specs.loading import json_schema, load_spec, spec_files
from lockstep.steps.spec_files import check_files

app = typer.Typer(help="Validate, show and describe scoring specs.", no_args_is_help=True)


@app.command(
    epilog=examples(
        "lockstep spec validate",
        "lockstep spec validate models/flight_delay",
    )
)
def validate(
    paths: Annotated[list[Path] | None, typer.Argument(help="scoring.yaml files or their folders; none: all.")] = None,
) -> None:
    """Check specs and the files they name; every problem names file, line and key."""
    found = paths or spec_files(settings().models_root)
    if not found:
        raise SpecError(str(settings().models_root), ["no scoring.yaml found below this folder"])
    failed: SpecError | None = None
    for path in found:
        try:
            loaded = load_spec(path)
            check_files(loaded)
            print(f"ok: {path} ({loaded.spec.name})")
        except SpecError as error:
            failed = error
            print(told(error), file=sys.stderr)
    if failed is not None:
        raise typer.Exit(exit_code(failed))


@app.command(
    epilog=examples(
        "lockstep spec show flight_delay",
    )
)
def show(name: SpecName) -> None:
    """Print a spec with all defaults filled in."""
    print(yaml.safe_dump(loaded_spec(name).spec.model_dump(mode="json"), sort_keys=False, width=120), end="")


@app.command(
    epilog=examples(
        "lockstep spec schema > scoring.schema.json",
    )
)
def schema() -> None:
    """Print the JSON Schema of a scoring spec, for editors."""
    print(json_schema())
