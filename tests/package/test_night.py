"""A night from the built wheel: somebody's model and table, their folder, a plain Airflow; no checkout on any path."""

import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest

from tests.package.beside import ROOT, build_wheel, clean_env, install_beside, made, packages_of

MODEL = "histgb"
DAY, DAY_BEFORE = "2024-05-03", "2024-05-02"
FEATURES = ["age", "income", "visits", "external"]
START_S = 60.0
DAG_FILE = "from lockstep.airflow import dags_from\n\nglobals().update(dags_from({models!r}))\n"


@dataclass(frozen=True)
class Theirs:
    """Two environments with the wheel, and a folder with a model, a table and a DAG file."""

    folder: Path

    def run(self, name: str, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a program of an environment, `control` or `data`."""
        home = self.folder / name
        return subprocess.run(
            [str(home / "bin" / command[0]), *command[1:]],
            cwd=self.folder / "work",
            env=clean_env(home, **{**self.variables, **more}),
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )

    @property
    def variables(self) -> dict[str, str]:
        return {
            "LOCKSTEP_HOME": str(self.folder / "state"),
            "LOCKSTEP_DATA_PYTHON": str(self.folder / "data" / "bin" / "python"),
            "AIRFLOW_HOME": str(self.folder / "airflow"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.folder / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW_CONN_SPARK_DEFAULT": json.dumps({"conn_type": "spark", "host": "local[2]"}),
        }


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Theirs:
    if not made("control").is_dir():
        pytest.skip("needs the control environment: make setup-control")
    folder = tmp_path_factory.mktemp("theirs")
    wheel = build_wheel(folder)
    for name in ("control", "data"):
        install_beside(name, folder / name, wheel=wheel)
    for name in ("work", "dags", "state/mlflow"):
        (folder / name).mkdir(parents=True)
    found = Theirs(folder)
    script = ROOT / "tests" / "integration" / "foreign_models.py"
    done = found.run("data", "python", str(script), f"sqlite:///{folder}/state/mlflow/mlflow.db", MODEL)
    assert done.returncode == 0, done.stderr[-2000:]
    done = found.run(
        "data", "python", "-m", "lockstep", "init", MODEL, "customers", "--yes", "--passthrough", "country"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "dags" / "lockstep_dags.py").write_text(DAG_FILE.format(models=str(folder / "work" / "models")))
    return found


@pytest.fixture(scope="module")
def published(theirs: Theirs) -> Theirs:
    """The last day, scored by the DAG as Airflow runs it."""
    done = theirs.run("control", "python", "-m", "airflow", "db", "migrate")
    assert done.returncode == 0, done.stderr[-2000:]
    done = theirs.run("control", "python", "-m", "airflow", "dags", "test", f"score_{MODEL}", DAY)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    assert f"dag_id=score_{MODEL}" in done.stdout
    return theirs


def expected_scores(theirs: Theirs) -> pd.DataFrame:
    return pd.read_parquet(theirs.folder / "work" / "expected" / f"{MODEL}.parquet").sort_values("customer_id")


def test_check_finds_all_well(theirs: Theirs) -> None:
    done = theirs.run("data", "lockstep", "check", MODEL, "--no-endpoint", "--json")
    assert (done.returncode, json.loads(done.stdout.splitlines()[-1])["ok"]) == (0, True), done.stdout + done.stderr


def test_airflow_publishes_what_plain_mlflow_predicts(published: Theirs) -> None:
    query = f"SELECT customer_id, prediction FROM {MODEL}_scores WHERE snapshot_date = '{DAY}' ORDER BY customer_id"
    with duckdb.connect(str(published.folder / "state" / "warehouse.duckdb"), read_only=True) as connection:
        rows = connection.execute(query).fetchall()
    expected = expected_scores(published)
    assert [row[0] for row in rows] == expected["customer_id"].tolist()
    np.testing.assert_array_equal([float(row[1]) for row in rows], expected["score"])
    (plan,) = (published.folder / "state" / "runs" / MODEL / DAY).glob("*/plan.json")
    assert plan.is_file()


def test_a_run_at_the_shell_agrees_with_airflow(published: Theirs) -> None:
    done = published.run("data", "lockstep", "run", MODEL, "--date", DAY, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"outcome": "noop"' in done.stdout or "no-op" in done.stdout, done.stdout


@pytest.fixture(scope="module")
def port(theirs: Theirs) -> Iterator[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = int(free.getsockname()[1])
    home = theirs.folder / "data"
    command = [str(home / "bin" / "lockstep"), "serve", MODEL, "--port", str(number)]
    log = theirs.folder / "serve.log"
    with log.open("w") as out:
        env = clean_env(home, **theirs.variables)
        endpoint = subprocess.Popen(command, cwd=theirs.folder / "work", env=env, stdout=out, stderr=out)
    try:
        yield number
    finally:
        endpoint.terminate()
        assert endpoint.wait(START_S) == 0, log.read_text()


def test_the_endpoint_answers_as_plain_mlflow(theirs: Theirs, port: int) -> None:
    file = theirs.folder / "work" / "customers" / f"snapshot_date={DAY}" / "part-0.parquet"
    rows = pd.read_parquet(file).sort_values("customer_id")[FEATURES]
    body = json.dumps({"dataframe_split": rows.to_dict(orient="split", index=False)}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/invocations", body, {"Content-Type": "application/json"})
    answer = answered(request)
    scores = [next(iter(each.values())) if isinstance(each, dict) else each for each in answer["predictions"]]
    np.testing.assert_array_equal(np.asarray(scores, float), expected_scores(theirs)["score"])


def answered(request: urllib.request.Request) -> Any:
    """Ask until the endpoint listens."""
    until = time.monotonic() + START_S
    while True:
        try:
            with urllib.request.urlopen(request, timeout=START_S) as response:
                return json.load(response)
        except urllib.error.HTTPError:
            raise
        except urllib.error.URLError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


@pytest.mark.parametrize("command", [("demo",), ("up",), ("package", "--json")])
def test_commands_of_the_repository_say_so(theirs: Theirs, command: tuple[str, ...]) -> None:
    done = theirs.run("data", "lockstep", *command)
    assert done.returncode == 4
    assert "[LS4041]" in done.stderr
    assert f"`lockstep {command[0]}` needs the repository" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout


@pytest.mark.parametrize("command", [("run", MODEL, "--date", DAY), ("serve", MODEL), ("check", MODEL)])
def test_a_command_in_airflows_environment_names_what_is_missing(theirs: Theirs, command: tuple[str, ...]) -> None:
    done = theirs.run("control", "lockstep", *command)
    assert done.returncode == 4
    assert "[LS4042]" in done.stderr
    assert str(theirs.folder / "control") in done.stderr
    assert "Traceback" not in done.stderr


def test_a_dag_file_without_airflow_names_the_extra(theirs: Theirs) -> None:
    done = theirs.run("data", "python", str(theirs.folder / "dags" / "lockstep_dags.py"))
    assert "LibraryMissing: the module airflow is not installed" in done.stderr
    assert "pip install 'lockstep[control]'" in done.stderr


def test_an_airflow_of_another_version_is_told(published: Theirs) -> None:
    module = packages_of(published.folder / "control") / "lockstep" / "__init__.py"
    before = module.read_text()
    try:
        module.write_text(f'{before}\n__version__ = "9.9.9"\n')
        task = ("tasks", "test", f"score_{MODEL}", "pin_model", DAY_BEFORE)
        done = published.run("control", "python", "-m", "airflow", *task)
        doctor = published.run("control", "lockstep", "doctor", "environments")
    finally:
        module.write_text(before)
    assert "[LS4043]" in done.stdout
    assert "lockstep 9.9.9 has started lockstep" in done.stdout
    assert doctor.returncode == 4
    assert "both must be of one version" in doctor.stdout
