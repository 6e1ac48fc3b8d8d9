"""Where artifacts are: what a plan may name, and what a node is told when it cannot read it."""

from pathlib import Path

import pytest

from lockstep.errors import ArtifactInvalid, ArtifactUnreachable
from lockstep.registry.sources import copy_source, local_folder, public_location, source_facts


@pytest.mark.parametrize(
    ("tracking", "location", "public"),
    [
        ("sqlite:///x.db", "s3://bucket/1/m", "s3://bucket/1/m"),
        ("sqlite:///x.db", "s3://b/m?endpoint_override=127.0.0.1:9000&scheme=http", None),
        ("http://h:5000", "mlflow-artifacts:/1/m", "http://h:5000/api/2.0/mlflow-artifacts/artifacts/1/m"),
        ("https://h/ml/", "mlflow-artifacts:/1/m", "https://h/ml/api/2.0/mlflow-artifacts/artifacts/1/m"),
        ("http://h:5000", "mlflow-artifacts://g:1/m", "http://g:1/api/2.0/mlflow-artifacts/artifacts/m"),
        ("http://me:word@h:5000", "mlflow-artifacts:/1/m", "http://h:5000/api/2.0/mlflow-artifacts/artifacts/1/m"),
    ],
)
def test_a_plan_names_what_any_node_can_read(tracking: str, location: str, public: str | None) -> None:
    assert public_location(tracking, location, model="m") == (public or location)


@pytest.mark.parametrize(
    "location", ["https://me:pass-9@host/m", "s3://b/m?access_key=pass-9", "az://c/m?sig=pass-9", "s3://me:pass-9@b/m"]
)
def test_credentials_do_not_get_into_plans(location: str) -> None:
    with pytest.raises(ArtifactInvalid, match="holds credentials") as error:
        public_location("sqlite:///x.db", location, model="m")
    assert "pass-9" not in str(error.value)


def test_folders_are_told_from_stores(tmp_path: Path) -> None:
    assert local_folder(str(tmp_path)) == local_folder(tmp_path.as_uri()) == tmp_path
    assert local_folder("s3://bucket/x") is None


def test_a_store_tells_when_a_file_changed(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_text("1")
    before = source_facts(tmp_path.as_uri())
    assert source_facts(tmp_path.as_uri()) == before
    (tmp_path / "a" / "x").write_text("22")
    assert source_facts(tmp_path.as_uri()) != before


@pytest.mark.parametrize("location", ["/nowhere/model", "nosuchscheme://bucket/model"])
def test_what_cannot_be_read_is_one_error_that_may_pass(tmp_path: Path, location: str) -> None:
    with pytest.raises(
        ArtifactUnreachable, match=f"of model m version 1 at {location} cannot be read on host"
    ) as error:
        copy_source(location, tmp_path / "copy", title="m version 1")
    assert error.value.retryable
