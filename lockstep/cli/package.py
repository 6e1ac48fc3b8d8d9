"""`lockstep package`: the data environment and this code as archives for a cluster; `lockstep profile`."""

from pathlib import Path
from typing import Annotated

import typer

from lockstep.cli.completion import complete_profiles
from lockstep.cli.console import Console
from lockstep.cli.examples import examples
from lockstep.cli.installation import need_checkout
from lockstep.cli.options import AsJson, settings
from lockstep.run.profiles import load_profiles, profile_folders, profile_names, properties_text

INSTEAD = (
    "Or install the same wheel, with lockstep[data], on each node of the cluster (docs/own-airflow.md), and leave "
    "LOCKSTEP_SPARK_ARCHIVE unset."
)
PACKAGE_EXAMPLES = examples(
    "lockstep package --output /mnt/shared/lockstep",
    "lockstep package --output s3://bucket/ship --driver",
)
PROFILE_EXAMPLES = examples(
    "lockstep profile standalone gpu > merged.conf",
)


def command(
    output: Annotated[
        str | None,
        typer.Option(metavar="DIR|URL", help="Where executors get them; without it, shipping/ below LOCKSTEP_HOME."),
    ] = None,
    driver: Annotated[
        bool, typer.Option("--driver", help="The whole environment, for a driver inside the cluster (yarn, k8s).")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Pack the data environment and this code for the executors of a cluster, unless that is done.

    The environment is named after its lock, the code after its modules: a change of code moves a megabyte. Then set
    LOCKSTEP_SPARK_ARCHIVE to the same folder or URL, and jobs on a cluster bring both along (docs/cluster.md).
    """
    where, console = settings(), Console(machine=as_json)
    need_checkout("lockstep package", where, instead=INSTEAD)
    from lockstep.shipping.delivery import deliver

    place = output or str(where.home / "shipping")
    place = place if "://" in place else str(Path(place).absolute())
    console.title(f"package for {place}")
    with console.step("package") as done:
        archives = deliver(where, place, driver=driver, tell=lambda line: console.note(f"  {line}"))
        said = [f"{one.path} {one.size_bytes / 1e6:,.1f} MB{'' if one.made else ' (was there)'}" for one in archives]
        done(", ".join(said))
    if not as_json:
        console.note(f"  export LOCKSTEP_SPARK_ARCHIVE={place}")
    facts = [{"path": one.path, "size_bytes": one.size_bytes, "made": one.made} for one in archives]
    console.result({"archives": facts, "LOCKSTEP_SPARK_ARCHIVE": place})


def profile(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME...",
            help="Profiles; without one, LOCKSTEP_SPARK_PROFILE.",
            autocompletion=complete_profiles,
        ),
    ] = None,
) -> None:
    """Print the properties of Spark profiles laid over each other, for a spark-submit by hand."""
    where = settings()
    wanted = names or profile_names(where.spark_profile)
    print(properties_text(load_profiles(wanted, *profile_folders(where.project_root))), end="", flush=True)
