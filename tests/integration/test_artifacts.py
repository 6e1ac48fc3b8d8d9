"""Model artifacts from a real store of objects: one fetch a node, whoever is killed, without the tracking server."""

import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.fs as pafs
import pytest

from lockstep.errors import ArtifactInvalid, ArtifactUnreachable, PackagingFailed
from lockstep.registry.artifact import artifact_digest, content_files
from lockstep.registry.cache import fetch_artifact
from lockstep.registry.resolve import resolve_model
from lockstep.run.plan import ModelIdentity
from lockstep.run.shipping import code_name
from lockstep.run.versions import code_digest
from lockstep.shipping import delivery
from lockstep.specs.settings import Settings
from tests.integration.counting_proxy import CountingProxy, counting_proxy
from tests.integration.kill_runs import make_model
from tests.integration.s3_server import SECRET, Store, client_env, s3_server

ROOT = Path(__file__).parents[2]
BUCKET, PREFIX = "models", "1/m-1/artifacts"
PROCESSES = 4
PATIENCE_S = 60

Fetcher = subprocess.Popen[str]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with s3_server(tmp_path_factory.mktemp("store")) as running:
        yield running


@pytest.fixture(scope="module")
def bucket(store: Store) -> pafs.S3FileSystem:
    """The store as its owner sees it, with a bucket."""
    filesystem = pafs.S3FileSystem(
        access_key=store.env["AWS_ACCESS_KEY_ID"],
        secret_key=SECRET,
        region="us-east-1",
        scheme="http",
        endpoint_override=store.url.removeprefix("http://"),
        allow_bucket_creation=True,
    )
    filesystem.create_dir(BUCKET)
    return filesystem


@pytest.fixture(scope="module")
def identity(bucket: pafs.S3FileSystem, tmp_path_factory: pytest.TempPathFactory) -> ModelIdentity:
    """A frozen model whose files are in the store alone, as a plan names it."""
    local = tmp_path_factory.mktemp("artifact") / "model"
    model = make_model(local)
    for file in content_files(local):
        with bucket.open_output_stream(f"{BUCKET}/{PREFIX}/{file.relative_to(local)}") as target:
            target.write(file.read_bytes())
    return model.model_copy(update={"location": f"s3://{BUCKET}/{PREFIX}"})


@pytest.fixture
def proxy(store: Store) -> Iterator[CountingProxy]:
    with counting_proxy(int(store.url.rpartition(":")[2])) as running:
        yield running


@pytest.fixture
def start(identity: ModelIdentity, proxy: CountingProxy, tmp_path: Path) -> Iterator[Callable[[], Fetcher]]:
    """Start processes of one node, which know the plan, the store and no tracking server."""
    started: list[Fetcher] = []
    env = {**os.environ, **client_env(proxy.url), "PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}

    def one() -> Fetcher:
        command = [sys.executable, "-m", "tests.integration.fetching", identity.model_dump_json(), str(tmp_path)]
        started.append(subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield one
    for process in started:
        process.kill()
        process.communicate()


def answer(process: Fetcher) -> str:
    return process.communicate(timeout=PATIENCE_S)[0].strip()


def remains(cache: Path) -> list[Path]:
    return list((cache / "models").rglob("*.partial"))


def test_processes_of_a_node_fetch_each_file_once(
    start: Callable[[], Fetcher], proxy: CountingProxy, identity: ModelIdentity, tmp_path: Path
) -> None:
    processes = [start() for _ in range(PROCESSES)]
    path = tmp_path / "models" / identity.digest / "model"
    assert {answer(process) for process in processes} == {f"fetched {path}"}
    assert artifact_digest(path) == identity.digest
    assert {name for name, _ in proxy.asked} == {
        f"/{BUCKET}/{PREFIX}/{file.relative_to(path)}" for file in content_files(path)
    }
    assert set(proxy.asked.values()) == {1}, f"fetched more than once: {proxy.asked}"


def test_a_killed_fetcher_blocks_nobody_and_leaves_nothing(
    start: Callable[[], Fetcher], proxy: CountingProxy, identity: ModelIdentity, tmp_path: Path
) -> None:
    proxy.hold()
    first = start()
    assert proxy.held.wait(PATIENCE_S), "nobody asked for a file"
    second = start()  # waits for the first
    time.sleep(0.5)
    assert first.poll() is None
    assert remains(tmp_path)
    first.kill()
    first.wait()
    proxy.free.set()
    assert answer(second).startswith("fetched ")
    assert artifact_digest(tmp_path / "models" / identity.digest / "model") == identity.digest
    assert not remains(tmp_path)


@pytest.fixture
def at_hand(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process use the store."""
    for name, value in store.env.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def registry(identity: ModelIdentity, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Tracking URI of a registry that names the artifact in the store."""
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path_factory.mktemp('registry')}/mlflow.db"
    client = MlflowClient(uri, uri)
    client.create_registered_model("parcels")
    client.create_model_version("parcels", source=identity.location)
    client.set_registered_model_alias("parcels", "champion", "1")
    return uri


def test_a_plan_names_the_store_and_the_digest_and_fetches_once(
    registry: str, identity: ModelIdentity, at_hand: None, tmp_path: Path
) -> None:
    found = resolve_model(registry, "parcels", alias="champion", cache_root=tmp_path)
    assert (found.location, found.digest) == (identity.location, identity.digest)
    assert found.inputs == identity.inputs
    kept = tmp_path / "models" / found.digest / "model"
    assert fetch_artifact(found, tmp_path) == kept
    before = kept.stat().st_ino
    assert resolve_model(registry, "parcels", alias="champion", cache_root=tmp_path).digest == identity.digest
    assert kept.stat().st_ino == before, "it was fetched again"
    assert not remains(tmp_path)
    assert SECRET not in found.model_dump_json()


def test_files_that_changed_in_the_store_are_found_out(
    registry: str, bucket: pafs.S3FileSystem, identity: ModelIdentity, at_hand: None, tmp_path: Path
) -> None:
    planned = resolve_model(registry, "parcels", alias="champion", cache_root=tmp_path / "driver")
    extra = f"{BUCKET}/{PREFIX}/artifacts/more.bin"
    with bucket.open_output_stream(extra) as target:
        target.write(b"more")
    try:
        with pytest.raises(ArtifactInvalid, match="changed since the run was planned"):
            fetch_artifact(planned, tmp_path / "node")
        again = resolve_model(registry, "parcels", alias="champion", cache_root=tmp_path / "driver")
        assert again.digest != planned.digest
    finally:
        bucket.delete_file(extra)


def test_a_store_that_refuses_is_one_error_without_the_secret(
    identity: ModelIdentity, at_hand: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret")
    other = identity.model_copy(update={"location": f"s3://{BUCKET}/1/m-2/artifacts"})
    with pytest.raises(ArtifactUnreachable, match="cannot be read on host") as error:
        fetch_artifact(other.model_copy(update={"digest": "0" * 64}), tmp_path)
    assert error.value.retryable
    assert "not-the-secret" not in str(error.value)
    assert not remains(tmp_path)


def test_archives_are_delivered_to_a_store_once(
    bucket: pafs.S3FileSystem, at_hand: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = list[Path]()

    def environment(_: Settings, target: Path, *, driver: bool) -> None:
        made.append(target)
        target.write_bytes(os.urandom(9 << 20))  # of several parts

    monkeypatch.setattr(delivery, "build_environment", environment)  # has tests of its own
    settings = Settings.from_env({"LOCKSTEP_PROJECT": str(ROOT), "LOCKSTEP_HOME": str(tmp_path)})
    first = delivery.deliver(settings, f"s3://{BUCKET}/ship", driver=False, tell=lambda _: None)
    assert [one.made for one in first] == [True, True]
    with bucket.open_input_stream(f"{BUCKET}/ship/{made[0].name}") as stored:
        assert stored.read() == made[0].read_bytes()
    with bucket.open_input_file(f"{BUCKET}/ship/{code_name(settings)}") as stored, zipfile.ZipFile(stored) as packed:
        packed.extractall(tmp_path / "unpacked")
    assert code_digest(tmp_path / "unpacked") == code_digest(ROOT)
    again = delivery.deliver(settings, f"s3://{BUCKET}/ship/", driver=False, tell=lambda _: None)
    assert [one.made for one in again] == [False, False]
    assert len(made) == 1
    (tmp_path / "file").touch()
    with pytest.raises(PackagingFailed, match="Check that the folder or bucket is there"):
        delivery.deliver(settings, str(tmp_path / "file" / "ship"), driver=False, tell=lambda _: None)
