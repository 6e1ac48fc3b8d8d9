"""`lockstep init`: begin a scoring job with a registered model and a table."""

import datetime as dt
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from lockstep.cli.console import Console
from lockstep.cli.examples import examples
from lockstep.cli.init_choices import WHOLE_DAY, choose_day, choose_key, further_columns, listed, words
from lockstep.cli.options import AsJson, settings

if TYPE_CHECKING:
    import pyarrow as pa

    from lockstep.run.plan import ModelIdentity
    from lockstep.scaffold.drafting import Choices
    from lockstep.scaffold.sampling import Sample
    from lockstep.scaffold.tables import FoundTable
    from lockstep.specs.input_spec import Table
    from lockstep.specs.settings import Settings

SAMPLE_ROWS = 50_000
# More rows than that say nothing more about scores, and a slow model would keep somebody waiting.
TRIED_ROWS = 2_000
EXAMPLES = examples(
    "lockstep init churn data/customers",
    "lockstep init churn@staging s3://lake/customers --day snapshot_date --key customer_id --yes",
    "lockstep init churn 'postgresql://me@db:5432/shop#public.customers' --key customer_id",
    "lockstep init fraud lake:shop.payments --warehouse postgresql --table fraud_scores --passthrough country",
)


def command(
    model: Annotated[str, typer.Argument(metavar="MODEL[@ALIAS]", help="Registered model; without alias: champion.")],
    table: Annotated[
        str,
        typer.Argument(
            metavar="INPUT",
            help="Folder, file, URL, catalog:namespace.table, or postgresql://user@host/database#schema.table.",
        ),
    ],
    *,
    name: Annotated[str | None, typer.Option(help="Name of the spec; without it, the model's.")] = None,
    set_alias: Annotated[
        int | None, typer.Option(min=1, metavar="VERSION", help="Point the alias at this version first.")
    ] = None,
    day: Annotated[str | None, typer.Option(metavar="COLUMN", help="Column that says the day of a row.")] = None,
    whole: Annotated[bool, typer.Option("--whole", help="The table has no days: score all of it each time.")] = False,
    date: Annotated[
        str | None, typer.Option(metavar="YYYY-MM-DD", help="Day to look at; without it, the last one.")
    ] = None,
    key: Annotated[str | None, typer.Option(metavar="COLUMN,...", help="Columns that name a row of a day.")] = None,
    passthrough: Annotated[str | None, typer.Option(metavar="COLUMN,...", help="Columns to publish too.")] = None,
    sensitive: Annotated[str | None, typer.Option(metavar="COLUMN,...", help="Columns never to show or quote.")] = None,
    cron: Annotated[str, typer.Option(help="When a run starts: minute, hour, day, month, weekday.")] = "0 6 * * *",
    timezone: Annotated[str, typer.Option(help="IANA time zone of the cron.")] = "UTC",
    warehouse: Annotated[
        Literal["duckdb", "postgresql", "snowflake", "bigquery", "iceberg", "delta"],
        typer.Option(help="Where scores are published."),
    ] = "duckdb",
    published: Annotated[str | None, typer.Option("--table", help="Published table [default: NAME_scores].")] = None,
    owner: Annotated[str, typer.Option(help="Team that is asked when a run fails.")] = "lockstep",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing: take what is likeliest.")] = False,
    as_json: AsJson = False,
) -> None:
    """Begin a scoring job: read a model's signature and a day of a table, and write models/NAME/.

    Written are the spec, starter checks from what that day looked like, and a README. What the model and the table do
    not say is guessed from the data, shown, and asked on a terminal. Nothing that is there is changed.
    """
    registered, _, alias = model.partition("@")
    from lockstep.scaffold.writing import spec_name

    chosen = name or spec_name(registered)
    _checkwords(chosen, published, cron=cron, timezone=timezone)
    wanted = _Wanted(registered, alias or "champion", table, chosen, set_alias, day, whole, date, key)
    further = {
        "passthrough": passthrough,
        "sensitive": sensitive,
        "cron": cron,
        "timezone": timezone,
        "warehouse": warehouse,
        "published": published or f"{chosen}_scores",
        "owner": owner,
    }
    asks = not yes and not as_json and sys.stdin.isatty()
    _begin(wanted, further, Console(machine=as_json), asks=asks)


@dataclass(frozen=True)
class _Wanted:
    """What the command line says of model and input."""

    registered: str
    alias: str
    input: str
    name: str
    set_alias: int | None
    day: str | None
    whole: bool
    date: str | None
    key: str | None


def _begin(wanted: _Wanted, further: dict[str, Any], console: Console, *, asks: bool) -> None:
    """Look at model and table, and write the folder."""
    from lockstep.scaffold.choices import likely_keys
    from lockstep.scaffold.drafting import Choices, draft
    from lockstep.scaffold.writing import require_absent, write_folder

    where = settings()
    folder = where.models_root / wanted.name
    require_absent(folder)
    console.title(f"init {wanted.name}")
    with console.step("model") as done:
        identity = _resolved(wanted.registered, wanted.alias, where, set_alias=wanted.set_alias)
        done(f"{_title(identity)}: {len(identity.inputs)} inputs, outputs {words([o.name for o in identity.outputs])}")
    with console.step("table") as done:
        found = _table(wanted.input, identity, where)
        done(f"{found.table.format}, {len(found.columns)} columns")
    column = choose_day(found, given=wanted.day, whole=wanted.whole, asks=asks)
    with console.step("sample") as done:
        declared = found.table.model_copy(update={"whole": column == WHOLE_DAY and column not in found.columns})
        sample, first = _sample(found, declared, column, wanted=wanted.date)
        done(f"{sample.rows.num_rows:,} of the {sample.total:,} rows of {sample.day}")
    keys = likely_keys(sample.rows, day=column, inputs=[each.name for each in identity.inputs])
    outputs = [output.name for output in identity.outputs]
    named = choose_key(keys, sample, given=wanted.key, day=column, outputs=outputs, asks=asks)
    further["passthrough"] = further_columns(further["passthrough"], sample, key=(column, *named), outputs=outputs)
    further["sensitive"] = listed(further["sensitive"], sample, option="--sensitive")
    with console.step("score") as done:
        scores, tried = _scores(identity, sample, where)
        done(f"{scores.num_rows:,} of {tried:,} rows have a score")
    choices = Choices(
        name=wanted.name,
        alias=wanted.alias,
        table=declared,
        table_label=declared.label,
        day=column,
        first=first,
        key=named,
        other_keys=tuple(each for each in keys if set(each) != set(named)) if not wanted.key else (),
        **further,
    )
    today = dt.datetime.now(dt.UTC).date()
    write_folder(folder, draft(choices, model=identity, sample=sample, scores=scores, today=today))
    _tell(console, folder, choices, sample)


def _resolved(registered: str, alias: str, where: "Settings", *, set_alias: int | None) -> "ModelIdentity":
    from lockstep.registry.resolve import move_alias, resolve_model

    if set_alias is not None:
        move_alias(where.tracking_uri, registered, alias=alias, version=set_alias)
    return resolve_model(where.tracking_uri, registered, alias=alias, cache_root=where.cache_root)


def _table(text: str, model: "ModelIdentity", where: "Settings") -> "FoundTable":
    from lockstep.scaffold.fitting import require_fit
    from lockstep.scaffold.tables import find_table

    found = find_table(text, data_root=where.data_root, here=Path.cwd())
    require_fit(found.columns, model, table=text)
    return found


def _scores(model: "ModelIdentity", sample: "Sample", where: "Settings") -> "tuple[pa.Table, int]":
    """Score some rows of a sample; return the scores, and of how many rows."""
    from lockstep.registry.cache import fetch_artifact
    from lockstep.registry.loading import load_scorer
    from lockstep.scaffold.drafting import try_model
    from lockstep.scoring.backends import Execution

    tried = replace(sample, rows=sample.rows.slice(0, TRIED_ROWS))
    scorer = load_scorer(fetch_artifact(model, where.cache_root), execution=Execution(device=where.device))
    return try_model(scorer, tried, title=_title(model)), tried.rows.num_rows


def _title(model: "ModelIdentity") -> str:
    return f"{model.name} version {model.version}"


def _checkwords(name: str, published: str | None, *, cron: str, timezone: str) -> None:
    """Refuse words that a spec could not have, before anything is looked up."""
    from pydantic import TypeAdapter, ValidationError

    from lockstep.specs.fields import Cron, Identifier, Timezone

    kinds = {"--name": (Identifier, name), "--table": (Identifier, published), "--cron": (Cron, cron)}
    for option, (kind, value) in {**kinds, "--timezone": (Timezone, timezone)}.items():
        try:
            if value is not None:
                TypeAdapter(kind).validate_python(value)
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
            raise typer.BadParameter(f"{value!r} {problem}", param_hint=option) from error


def _sample(found: "FoundTable", declared: "Table", column: str, *, wanted: str | None) -> "tuple[Sample, dt.date]":
    """Read a day; return it, and the first day that the table has."""
    from lockstep.data.table_scan import Day
    from lockstep.run.partition import parse_partition
    from lockstep.scaffold.errors import ChoiceNeeded
    from lockstep.scaffold.sampling import read_sample

    known = next((day for day in found.days if day.name == column), None)
    yesterday = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)
    last = yesterday if declared.whole else (known.last if known is not None else None)
    day = parse_partition(wanted) if wanted is not None else last
    if day is None:
        said = f"the metadata of the table names no day of column {column!r}"
        raise ChoiceNeeded("the day to look at", found=said, option="--date YYYY-MM-DD")
    root = settings().data_root
    sample = read_sample(found, declared, Day(column, day), data_root=root, most=SAMPLE_ROWS)
    return sample, min(known.first, day) if known is not None and known.first is not None else day


def _tell(console: Console, folder: Path, choices: "Choices", sample: "Sample") -> None:
    if console.machine:
        facts = {"spec": choices.name, "folder": str(folder), "day": choices.day, "key": list(choices.key)}
        console.result({**facts, "date": sample.day.isoformat(), "rows": sample.total, "table": choices.published})
        return
    shown = os.path.relpath(folder)
    console.note(f"\n{shown if not shown.startswith('..') else folder}/ has the spec, its checks and a README.")
    console.note(
        f"  day {choices.day}, key {', '.join((choices.day, *choices.key))}; both can be changed in scoring.yaml"
    )
    console.note("Next:")
    console.note(f"  lockstep check {choices.name}")
    console.note(f"  lockstep run {choices.name} --date {sample.day}")
