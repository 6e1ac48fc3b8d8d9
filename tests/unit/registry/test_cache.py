"""The node cache: one verified copy per digest."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lockstep.errors import ArtifactInvalid
from lockstep.registry.artifact import artifact_digest
from lockstep.registry.cache import fetch_artifact, fetch_unknown
from lockstep.run.plan import ModelIdentity


@pytest.fixture
def identity(tmp_path: Path) -> ModelIdentity:
    """A frozen model of two files."""
    source = tmp_path / "source"
    (source / "artifacts").mkdir(parents=True)
    (source / "MLmodel").write_text("flavors: {}")
    (source / "artifacts" / "w.bin").write_bytes(b"weights")
    digest = artifact_digest(source)
    return ModelIdentity(name="m", version=1, digest=digest, location=str(source), inputs=(), outputs=())


def test_many_at_once_get_one_copy(identity: ModelIdentity, cache: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        paths = set(pool.map(lambda _: fetch_artifact(identity, cache), range(24)))
    assert len(paths) == 1
    assert artifact_digest(paths.pop()) == identity.digest


def test_a_finished_copy_outlives_its_source(identity: ModelIdentity, cache: Path) -> None:
    path = fetch_artifact(identity, cache)
    shutil.rmtree(identity.location)
    assert fetch_artifact(identity, cache) == path


def test_a_changed_artifact_is_refused(identity: ModelIdentity, cache: Path) -> None:
    (Path(identity.location) / "artifacts" / "w.bin").write_bytes(b"other weights")
    with pytest.raises(ArtifactInvalid, match="changed since the run was planned"):
        fetch_artifact(identity, cache)
    assert not [p for p in (cache / "models").iterdir() if p.is_dir()]


def test_what_mlflow_adds_on_download_does_not_change_the_digest(identity: ModelIdentity) -> None:
    (Path(identity.location) / "registered_model_meta").write_text("model_name: m")
    assert artifact_digest(Path(identity.location)) == identity.digest


def test_what_killed_processes_left_is_cleared_away(identity: ModelIdentity, cache: Path) -> None:
    for process in ("1", "99999999"):
        (cache / "models" / f"{identity.digest}.{process}.partial" / "model").mkdir(parents=True)
    other = cache / "models" / f"{'0' * 64}.5.partial"
    other.mkdir()
    assert artifact_digest(fetch_artifact(identity, cache)) == identity.digest
    assert list((cache / "models").glob("*.partial")) == [other], "another model's may be at work"


def test_a_copy_without_its_mark_is_made_anew(identity: ModelIdentity, cache: Path) -> None:
    half = cache / "models" / identity.digest / "model"
    half.mkdir(parents=True)
    (half / "MLmodel").write_text("half")
    assert artifact_digest(fetch_artifact(identity, cache)) == identity.digest


def test_an_artifact_of_unknown_digest_is_kept_by_what_it_has(identity: ModelIdentity, cache: Path) -> None:
    location = Path(identity.location).as_uri()
    path, digest = fetch_unknown(location, cache, title="m")
    assert digest == identity.digest
    assert fetch_artifact(identity, cache) == path
    (Path(identity.location) / "artifacts" / "w.bin").write_bytes(b"other weights")
    later, other = fetch_unknown(location, cache, title="m")
    assert other != digest
    assert later != path
    assert path.is_dir()
