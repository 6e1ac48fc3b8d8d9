"""Airflow's own DAG processor over many specs, one of them broken: what it finds, and how long each file takes."""

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
BROKEN_NAME = "broken_spec"


@dataclass(frozen=True)
class Processed:
    """What the processor left in Airflow's tables.

    Attributes:
        dags: Ids of DAGs that are there and not stale, by file.
        seconds: That the processor says each file took to parse.
        errors: Import error of each file that has one.
        wall_s: Of the whole run of the processor: start, parsing of all files, writing of all DAGs.
    """

    dags: Mapping[str, frozenset[str]]
    seconds: Mapping[str, float]
    errors: Mapping[str, str]
    wall_s: float


def process(models: Path, scratch: Path, *, airflow: Path | None = None) -> Processed:
    """Let `airflow dag-processor` parse `dags/` once, with an SQLite database of its own.

    Args:
        models: Folder of specs.
        scratch: Where Airflow's home is made.
        airflow: The program; that of this interpreter's environment unless given.
    """
    program = str(airflow or Path(sys.executable).parent / "airflow")
    home = scratch / "airflow"
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "LOCKSTEP_"))},
        "PYTHONPATH": str(REPOSITORY),
        "PYTHONWARNINGS": "ignore",
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "LOCKSTEP_MODELS": str(models),
        "LOCKSTEP_HOME": str(scratch / "var"),
    }
    subprocess.run([program, "db", "migrate"], env=env, check=True, capture_output=True, timeout=300)
    begin = time.perf_counter()
    subprocess.run([program, "dag-processor", "--num-runs", "1"], env=env, check=True, capture_output=True, timeout=600)
    return _read(home / "airflow.db", wall_s=time.perf_counter() - begin)


def _read(database: Path, *, wall_s: float) -> Processed:
    with sqlite3.connect(database) as connection:
        rows = connection.execute(
            "SELECT relative_fileloc, dag_id, last_parse_duration FROM dag WHERE NOT is_stale"
        ).fetchall()
        errors = dict(connection.execute("SELECT filename, stacktrace FROM import_error").fetchall())
    files = {file for file, _, _ in rows}
    return Processed(
        dags={file: frozenset(dag for name, dag, _ in rows if name == file) for file in files},
        seconds={file: max(seconds or 0.0 for name, _, seconds in rows if name == file) for file in files},
        errors=errors,
        wall_s=wall_s,
    )


def break_one(models: Path) -> Path:
    """Add a spec whose key is misspelt; return its file."""
    text = (REPOSITORY / "models" / "flight_delay" / "scoring.yaml").read_text(encoding="utf-8")
    file = models / BROKEN_NAME / "scoring.yaml"
    file.parent.mkdir()
    broken = text.replace("name: flight_delay\nd", f"name: {BROKEN_NAME}\nd", 1).replace("owner:", "ownr:", 1)
    file.write_text(broken, encoding="utf-8")
    return file
