import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from lockstep.errors import ExtraMissing, SettingsError
from lockstep.publish.warehouse import WAREHOUSES, open_warehouse
from lockstep.specs.settings import WAREHOUSE_VARIABLES, Settings

HEAVY = {"duckdb", "pyiceberg", "deltalake", "adbc_driver_postgresql", "snowflake", "google.cloud.bigquery"}


def test_only_the_library_of_the_warehouse_is_loaded() -> None:
    code = f"import sys; import lockstep.publish.warehouse; print(sorted(set(sys.modules) & {HEAVY}))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("kind", "module"),
    [
        ("postgresql", "adbc_driver_postgresql"),
        ("snowflake", "snowflake"),
        ("bigquery", "google.cloud.bigquery"),
        ("iceberg", "pyiceberg"),
        ("delta", "deltalake"),
        ("duckdb", "duckdb"),
    ],
)
def test_a_missing_library_says_what_to_install(kind: str, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in sys.modules if n.split(".")[0] == module or n.endswith("_engine")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ExtraMissing, match=rf"warehouse {kind} needs .*{module}.*pip install 'lockstep\[{kind}\]'"):
        open_warehouse(kind, "somewhere", wait_s=0)


def test_every_kind_has_a_place() -> None:
    assert WAREHOUSES.keys() == WAREHOUSE_VARIABLES.keys()
    settings = Settings.from_env(
        {
            "LOCKSTEP_HOME": "/h",
            "LOCKSTEP_POSTGRESQL": "postgresql://u@h/d",
            "LOCKSTEP_SNOWFLAKE": "analytics/A/B",
            "LOCKSTEP_BIGQUERY": "my-project/scores/EU",
        }
    )
    assert {kind: settings.warehouse(kind) for kind in WAREHOUSES} == {
        "duckdb": "/h/warehouse.duckdb",
        "postgresql": "postgresql://u@h/d",
        "snowflake": "analytics/A/B",
        "bigquery": "my-project/scores/EU",
        "iceberg": "/h/iceberg",
        "delta": "/h/delta",
    }


def test_nobody_said_where_postgresql_is() -> None:
    with pytest.raises(SettingsError, match=r"LOCKSTEP_POSTGRESQL.*postgresql://user@host"):
        Settings.from_env({"LOCKSTEP_HOME": "/h"}).warehouse("postgresql")


@pytest.mark.parametrize("value", ["postgresql://u:hunter2@h/d", "host=h password=hunter2"])
def test_a_password_is_refused_and_not_repeated(value: str) -> None:
    with pytest.raises(SettingsError, match="without a password") as caught:
        Settings.from_env({"LOCKSTEP_POSTGRESQL": value})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("value", ["snowflake://u:hunter2@account", "a/b/c/d", "a b", "a;password=hunter2", "a/b\n"])
def test_snowflake_is_named_and_nothing_else_is_repeated(value: str) -> None:
    with pytest.raises(SettingsError, match=r"LOCKSTEP_SNOWFLAKE.*connections\.toml") as caught:
        Settings.from_env({"LOCKSTEP_SNOWFLAKE": value})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "value", ["my-project", "p/d/EU/x", "p/d d", '{"private_key": "hunter2"}', "/keys/hunter2.json", "p/d\n"]
)
def test_bigquery_is_named_and_nothing_else_is_repeated(value: str) -> None:
    with pytest.raises(SettingsError, match=r"LOCKSTEP_BIGQUERY.*project/dataset") as caught:
        Settings.from_env({"LOCKSTEP_BIGQUERY": value})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "value", ["my-project/scores", "my-project/scores_1/europe-west3", "example.com:my-project/d/EU"]
)
def test_datasets_that_bigquery_has(value: str) -> None:
    assert Settings.from_env({"LOCKSTEP_BIGQUERY": value}).warehouse("bigquery") == value


def test_every_warehouse_has_an_extra() -> None:
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))
    extras = project["tool"]["setuptools"]["dynamic"]["optional-dependencies"]
    for kind in WAREHOUSES:
        assert extras[kind] == {"file": [f"requirements/extras/{kind}.in"]}
