"""`lockstep model`: what the registry holds for a spec."""

import json
from typing import Annotated

import typer

from lockstep.cli.examples import examples
from lockstep.cli.options import AsJson, ModelVersion, SpecName, loaded_spec, settings
from lockstep.run.partition import parse_partition

# What MLflow stores beside the input example, ready to be posted.
EXAMPLE_FILE = "serving_input_example.json"

app = typer.Typer(help="What the model registry holds for a spec.", no_args_is_help=True)


@app.command(
    epilog=examples(
        "lockstep model resolve flight_delay",
        "lockstep model resolve flight_delay --model @challenger --json",
    )
)
def resolve(
    name: SpecName,
    model: Annotated[
        str | None,
        typer.Option(help="@ALIAS, a version, or as-published; without it, the spec's alias."),
    ] = None,
    date: Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="The day, for as-published.")] = None,
    challengers: Annotated[bool, typer.Option("--challengers", help="Those on trial too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Resolve the model of a spec to its version and digest."""
    from lockstep.specs.model_choice import ModelChoice
    from lockstep.steps.model_choice import challenger_versions, choose_model

    loaded = loaded_spec(name)
    choice = ModelChoice.parse(model or f"@{loaded.spec.model.alias}")
    found = choose_model(loaded, choice, settings(), partition=parse_partition(date) if date else None)
    trial = {"challengers": challenger_versions(loaded, settings())} if challengers else {}
    if as_json:
        print(json.dumps({"name": found.name, "version": found.version, "digest": found.digest, **trial}))
        return
    print(f"{found.name} version {found.version}, digest {found.digest}")
    for alias, version in trial.get("challengers", {}).items():
        print(f"challenger {alias}: " + ("no such alias" if version is None else f"version {version}"))


@app.command(
    epilog=examples(
        "lockstep model promote flight_delay --model @challenger --dry-run",
        "lockstep model promote flight_delay --model 17 --expect 16",
    )
)
def promote(
    name: SpecName,
    model: Annotated[str, typer.Option(help="@ALIAS or a version: what the spec's alias shall point at.")],
    expect: Annotated[
        int | None, typer.Option(min=0, help="Only if the alias still points at this version; 0: at none.")
    ] = None,
    dry_run: Annotated[bool, typer.Option(help="Say what would change, change nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Point the spec's alias at a version; runs that begin afterwards score with it."""
    from lockstep.specs.model_choice import ModelChoice
    from lockstep.steps.model_choice import promote_model

    choice = ModelChoice.parse(model)
    if choice.as_published:
        raise typer.BadParameter("as-published is of one day, and an alias of none; give an alias or a version")
    done = promote_model(loaded_spec(name), choice, settings(), expect=expect, dry_run=dry_run)
    if as_json:
        print(json.dumps(done.facts()))
    else:
        before = "nothing" if done.before is None else f"version {done.before}"
        verb = "would point" if dry_run else "points"
        print(f"alias {done.alias} of {done.name} {verb} at version {done.version} (it was {before})")


@app.command(
    epilog=examples(
        "lockstep model example flight_delay > request.json",
    )
)
def example(name: SpecName, model_version: ModelVersion = None) -> None:
    """Print the model's own example as a body for the endpoint's /invocations."""
    from lockstep.errors import ArtifactInvalid
    from lockstep.registry.cache import fetch_artifact
    from lockstep.registry.resolve import resolve_model

    reference, where = loaded_spec(name).spec.model, settings()
    found = resolve_model(where.tracking_uri, reference.name, alias=reference.alias, version=model_version)
    file = fetch_artifact(found, where.cache_root) / EXAMPLE_FILE
    if not file.is_file():
        label = f"{found.name} version {found.version}"
        raise ArtifactInvalid(label, "it was logged without an input example; log it with `input_example=`")
    print(file.read_text(encoding="utf-8").strip())


@app.command(
    name="list",
    epilog=examples(
        "lockstep model list flight_delay",
    ),
)
def list_(name: SpecName) -> None:
    """List the versions of the spec's model and their aliases."""
    from lockstep.registry.resolve import list_versions

    for version, aliases in list_versions(settings().tracking_uri, loaded_spec(name).spec.model.name):
        print(f"version {version}" + (f"  {', '.join(aliases)}" if aliases else ""))
