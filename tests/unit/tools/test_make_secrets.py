import json
import ssl
import stat
from pathlib import Path

import pytest
import yaml
from cryptography.fernet import Fernet

from tools.make_secrets import main, make_secrets

ROOT = Path(__file__).parents[3]


def test_makes_what_the_stack_names_and_nothing_else(tmp_path: Path) -> None:
    made = make_secrets(tmp_path / "secrets")
    compose = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text(encoding="utf-8"))
    assert sorted(made) == sorted(compose["secrets"])
    assert {path.name for path in (tmp_path / "secrets").iterdir()} == {*made}


def test_secrets_agree_with_each_other_and_can_be_used(tmp_path: Path) -> None:
    make_secrets(tmp_path)
    said = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    assert f"airflow:{said['postgres_airflow']}@postgres" in said["airflow_database"]
    assert f"mlflow:{said['postgres_mlflow']}@postgres" in said["mlflow_database"]
    ((identity,)) = json.loads(said["s3_identities"])["identities"][0]["credentials"]
    assert identity["accessKey"] in said["s3_credentials"]
    assert identity["secretKey"] in said["s3_credentials"]
    Fernet(said["airflow_fernet_key"])
    assert json.loads(said["airflow_users"]).keys() == {"admin"}
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(
        tmp_path / "gateway_certificate", tmp_path / "gateway_key"
    )
    random = [
        value for name, value in said.items() if name.startswith(("postgres_", "airflow_", "grafana_", "alerts_"))
    ]
    assert len(set(random)) == len(random)


def test_what_is_there_stays_and_only_its_owner_gets_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "secrets"
    assert main(["--folder", str(folder)]) == 0
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (folder / "grafana_admin").unlink()
    capsys.readouterr()
    assert main(["--folder", str(folder)]) == 0
    assert capsys.readouterr().out == "made grafana_admin\n"
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert {name for name in before if before[name] != after[name]} == {"grafana_admin"}
    assert main(["--folder", str(folder)]) == 0
    assert "nothing to do" in capsys.readouterr().out
