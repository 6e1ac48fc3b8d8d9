"""Arguments and options that several commands share."""

import os
from typing import Annotated, Literal

import typer

from lockstep.specs.loading import LoadedSpec, find_spec
from lockstep.specs.settings import Settings

SpecName = Annotated[str, typer.Argument(metavar="SPEC", help="Name of a folder below models/.")]
ModelVersion = Annotated[
    int | None, typer.Option("--model-version", min=1, help="Exact model version; without it, the spec's alias.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines on standard output.")]
WarehouseKind = Annotated[
    Literal["duckdb", "postgresql", "snowflake", "bigquery", "iceberg", "delta"],
    typer.Option("--warehouse", help="Kind of warehouse."),
]


def settings() -> Settings:
    """Return the settings of this process."""
    return Settings.from_env(os.environ)


def loaded_spec(name: str) -> LoadedSpec:
    """Load a spec by name."""
    return find_spec(settings().models_root, name)
