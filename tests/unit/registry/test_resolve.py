"""Alias to version to digest against a real registry, and the errors of a user."""

from pathlib import Path

import pytest

from lockstep.errors import ArtifactInvalid, ModelNotFound, RegistryUnavailable, SettingsError
from lockstep.registry.resolve import list_versions, local_path, move_alias, resolve_model


def test_alias_and_version_give_the_same_model(registry: str) -> None:
    by_alias = resolve_model(registry, "sums", alias="champion")
    by_version = resolve_model(registry, "sums", version=1)
    assert by_alias.version == by_version.version == 1
    assert by_alias.digest == by_version.digest
    assert (by_alias.alias, by_version.alias) == ("champion", None)
    assert [c.name for c in by_alias.inputs] == ["a", "b"]


def test_versions_differ_in_digest(registry: str) -> None:
    assert resolve_model(registry, "sums", version=1).digest != resolve_model(registry, "sums", version=2).digest
    assert list_versions(registry, "sums") == [(2, []), (1, ["champion"])]


def test_an_artifact_that_is_not_the_one_wanted_is_refused(registry: str) -> None:
    wanted = resolve_model(registry, "sums", version=1).digest
    assert resolve_model(registry, "sums", version=1, digest=wanted).digest == wanted
    with pytest.raises(ArtifactInvalid, match=r"sums version 2 cannot be used: .*has digest \w{64}, and " + wanted):
        resolve_model(registry, "sums", version=2, digest=wanted)


def test_an_unknown_alias_says_what_there_is(registry: str) -> None:
    with pytest.raises(
        ModelNotFound, match=r"no alias 'challenger'.*alias 'champion' \(version 1\), version 1, version 2"
    ):
        resolve_model(registry, "sums", alias="challenger")


def test_an_unknown_version_and_an_unknown_model(registry: str) -> None:
    with pytest.raises(ModelNotFound, match="has no version 9"):
        resolve_model(registry, "sums", version=9)
    with pytest.raises(ModelNotFound, match=r"has no model 'none'\. It has: .*sums"):
        resolve_model(registry, "none", alias="champion")
    with pytest.raises(ModelNotFound, match="Did you mean 'sums'"):
        resolve_model(registry, "suns", alias="champion")


def test_a_registry_that_does_not_exist_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"none\.db \(no such file yet\) has no model .sums.*MLFLOW_TRACKING_URI"):
        resolve_model(f"sqlite:///{tmp_path}/none.db", "sums", alias="champion")
    assert not list(tmp_path.iterdir())


def test_a_registry_that_is_no_registry(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"this is not a database" * 100)
    with pytest.raises(RegistryUnavailable):
        resolve_model(f"sqlite:///{tmp_path}/x.db", "sums", alias="champion")


def test_a_scheme_of_no_registry_is_a_wrong_setting() -> None:
    with pytest.raises(SettingsError, match=r"MLFLOW_TRACKING_URI is 'sqllite://me:\*\*\*@host'; expected .*sqlite:"):
        resolve_model("sqllite://me:hunter2@host", "sums", alias="champion")


def test_a_server_that_is_not_there_is_told_without_a_trace_and_secrets() -> None:
    with pytest.raises(RegistryUnavailable, match="did not answer: Connection refused") as caught:
        resolve_model("http://me:hunter2@127.0.0.1:9", "sums", alias="champion")
    assert "hunter2" not in str(caught.value)


def test_artifacts_elsewhere_are_refused_clearly(tmp_path: Path) -> None:
    with pytest.raises(ArtifactInvalid, match="only a local or mounted folder"):
        local_path("s3://bucket/model", model="m")
    with pytest.raises(ArtifactInvalid, match="does not exist on this machine"):
        local_path(str(tmp_path / "gone"), model="m")
    assert local_path(tmp_path.as_uri(), model="m") == tmp_path


def test_an_alias_moves_to_a_version_that_is_there(registry: str) -> None:
    facts = {"alias": "rolled-back"}
    assert move_alias(registry, "sums", version=2, **facts) is None
    assert move_alias(registry, "sums", version=1, **facts) == 2
    assert resolve_model(registry, "sums", **facts).version == 1
    with pytest.raises(ModelNotFound, match="has no version 9"):
        move_alias(registry, "sums", version=9, **facts)
    assert resolve_model(registry, "sums", **facts).version == 1
