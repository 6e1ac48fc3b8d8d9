"""Arguments and options that several commands share."""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal

import typer

from lockstep.cli.completion import complete_profiles, complete_specs
from lockstep.run.profiles import load_profiles, profile_folders, profile_names
from lockstep.specs.loading import LoadedSpec, find_spec
from lockstep.specs.settings import Settings

SpecName = Annotated[
    str, typer.Argument(metavar="SPEC", help="Name of a folder below models/.", autocompletion=complete_specs)
]
ModelVersion = Annotated[
    int | None, typer.Option("--model-version", min=1, help="Exact model version; without it, the spec's alias.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines on standard output.")]
WarehouseKind = Annotated[
    Literal["duckdb", "postgresql", "snowflake", "bigquery", "iceberg", "delta"],
    typer.Option("--warehouse", help="Kind of warehouse."),
]
SparkProfiles = Annotated[
    list[str] | None,
    typer.Option(
        "--profile",
        metavar="NAME",
        autocompletion=complete_profiles,
        help="Spark profile of spark-conf/, again for an overlay (--profile standalone --profile gpu); "
        "without it, LOCKSTEP_SPARK_PROFILE.",
    ),
]


def settings() -> Settings:
    """Return the settings of this process."""
    return Settings.from_env(os.environ)


def spark_settings(profiles: Sequence[str] | None) -> Settings:
    """Return the settings of this process with the profiles of its command line, if it names any.

    Raises:
        ProfileUnknown: There is no such profile.
        ProfileInvalid: They cannot be used together.
    """
    where = settings()
    where = replace(where, spark_profile=",".join(profiles)) if profiles else where
    load_profiles(profile_names(where.spark_profile), *profile_folders(where.project_root))
    return where


def loaded_spec(name: str) -> LoadedSpec:
    """Load a spec by name."""
    return find_spec(settings().models_root, name)
