"""`lockstep key`: API keys of the endpoint."""

import datetime as dt
import sys
from pathlib import Path
from typing import Annotated, cast

import typer
from pydantic import ValidationError

from lockstep.cli.examples import examples
from lockstep.specs.serving_security import Role

ROLES = "infer, read, admin or metrics; may be repeated [default: infer and read]."

app = typer.Typer(help="API keys of the endpoint.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """API keys of the endpoint."""


@app.command(
    epilog=examples(
        "lockstep key new nightly-report --model churn --file keys.yaml",
        'lockstep key new dashboard --model "*" --role read --role metrics --expires 2027-06-30',
    )
)
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Client that will use it.")],
    *,
    model: Annotated[list[str], typer.Option(help="Registered model that it is for, * for all; may be repeated.")],
    role: Annotated[list[str] | None, typer.Option(help=ROLES)] = None,
    expires: Annotated[
        str | None, typer.Option(metavar="YYYY-MM-DD", help="From when it is refused (UTC), or a time with time zone.")
    ] = None,
    file: Annotated[Path | None, typer.Option(help="File of keys to append it to; running endpoints follow.")] = None,
) -> None:
    """Make an API key. The key is printed once and kept nowhere; the file of keys holds its hash."""
    from lockstep.serving.security.api_keys import entry_text, new_api_key
    from lockstep.serving.security.key_file import append_key

    moment = None if expires is None else _moment(expires)
    try:
        key, entry = new_api_key(
            name, models=model, roles=cast("list[Role]", role) or ("infer", "read"), expires=moment
        )
    except ValidationError as error:
        told = "; ".join(f"{item['loc'][0]} {item['msg'].removeprefix('Value error, ')}" for item in error.errors())
        raise typer.BadParameter(told) from error
    if file is not None:
        append_key(file, entry)
    print(key)
    print("The key above is for the client, and is kept nowhere.", end=" ", file=sys.stderr)
    if file is not None:
        print(f"Its entry is in {file}.", file=sys.stderr)
        return
    print("Its entry, for the list 'keys' of the file of keys:", file=sys.stderr)
    print(entry_text(entry), end="")


def _moment(text: str) -> dt.datetime:
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"--expires is {text!r}; expected a day such as 2027-06-30") from error
    is_day = len(text) == len("2027-06-30")
    if found.tzinfo is None and not is_day:
        raise typer.BadParameter("--expires needs a time zone, such as 2027-06-30T12:00:00+02:00, or a day alone")
    return found if found.tzinfo is not None else found.replace(tzinfo=dt.UTC)
