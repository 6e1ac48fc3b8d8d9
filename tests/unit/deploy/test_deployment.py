"""The page about deployment and its files, against the code that they are about."""

import json
import re
from pathlib import Path

import pytest
import yaml

from lockstep.run.submit import CALLER
from lockstep.services.airflow import POOLS
from lockstep.services.ports import VARIABLES

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy" / "airflow"
PAGE = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
CODE = ("lockstep", "dags", "jobs", "udfs", "models")
# A prefix of tables in a warehouse, and what a process tells the ones that it starts: nobody sets them.
NO_SETTINGS = {"LOCKSTEP_LOCK", CALLER}


def test_every_variable_that_the_code_reads_is_explained_and_no_other() -> None:
    texts = [file.read_text(encoding="utf-8") for folder in CODE for file in (ROOT / folder).rglob("*.py")]
    used = {name for text in texts for name in re.findall(r"LOCKSTEP_[A-Z]+(?:_[A-Z]+)*", text)}
    used |= {*VARIABLES.values()}
    explained = set(re.findall(r"LOCKSTEP_[A-Z_]*[A-Z]", PAGE))
    assert used - NO_SETTINGS - explained == set()
    assert explained - used == set()


def test_the_table_of_providers_is_what_the_lock_pins() -> None:
    lock = (ROOT / "requirements" / "control.lock").read_text(encoding="utf-8")
    pinned = dict(re.findall(r"^(apache-airflow[a-z-]*)==([\w.]+)$", lock, re.MULTILINE))
    assert dict(re.findall(r"^\| (apache-airflow[a-z-]*) \| ([\w.]+) \|$", PAGE, re.MULTILINE)) == pinned
    assert len(pinned) > 5


def test_every_pool_is_named() -> None:
    assert {name for name in POOLS if f"`{name}`" not in PAGE} == set()


@pytest.mark.parametrize("name", ["local", "git"])
def test_bundles_are_json_and_name_the_dag_folder(name: str) -> None:
    (bundle,) = json.loads((DEPLOY / "bundles" / f"{name}.json").read_text(encoding="utf-8"))
    assert set(bundle) == {"name", "classpath", "kwargs"}
    assert bundle["kwargs"].get("path", bundle["kwargs"].get("subdir")).split("/")[-1] == "dags"


@pytest.mark.parametrize("file", sorted(DEPLOY.rglob("*.env")), ids=lambda file: file.name)
def test_settings_are_one_a_line_known_and_without_a_secret(file: Path) -> None:
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    values = dict(line.split("=", 1) for line in lines)
    assert len(values) == len(lines)
    for name, value in values.items():
        assert re.fullmatch(r"AIRFLOW__[A-Z_]+__[A-Z_]+|AIRFLOW_CONN_[A-Z_]+|LOCKSTEP_[A-Z_]+|[A-Z_]+", name), name
        assert not re.search("SECRET|PASSWORD|FERNET|SQL_ALCHEMY|BROKER_URL|RESULT_BACKEND", name), name
        if name.startswith("LOCKSTEP_"):
            assert f"`{name}`" in PAGE
        if name.startswith("AIRFLOW_CONN_"):
            assert json.loads(value)["conn_type"] == "spark"
    profile = values.get("LOCKSTEP_SPARK_PROFILE", "local")
    assert (ROOT / "spark-conf" / f"{profile}.conf").is_file()


def test_the_pod_has_what_a_task_needs() -> None:
    pod = yaml.safe_load((DEPLOY / "kubernetes" / "pod_template.yaml").read_text(encoding="utf-8"))
    (container,) = pod["spec"]["containers"]
    assert (pod["kind"], container["name"]) == ("Pod", "base")
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert set(mounts) == {volume["name"] for volume in pod["spec"]["volumes"]}
    home = re.search(r"^LOCKSTEP_HOME=(.+)$", (DEPLOY / "common.env").read_text(encoding="utf-8"), re.MULTILINE)
    assert home is not None
    assert mounts["state"] == home.group(1)
    assert pod["spec"]["terminationGracePeriodSeconds"] > 2 * 10  # lockstep/airflow/step.py stops in two steps of 10 s
    values = yaml.safe_load((DEPLOY / "kubernetes" / "values.yaml").read_text(encoding="utf-8"))
    assert values["volumeMounts"][0]["mountPath"] == home.group(1)
