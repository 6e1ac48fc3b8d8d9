"""Run folders and source tables in a real object store (SeaweedFS, by S3), through the command line and Spark."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from fastapi.testclient import TestClient
from world import OTHER_GOOD, ROOT, ROWS, World

from lockstep.report.site import run_site
from lockstep.run.folder import MANIFEST, PLAN, RunFolder
from lockstep.specs.loading import load_spec
from lockstep.storage import stores
from lockstep.storage.objects import ObjectPath
from tests.integration.s3_server import SECRET, Store, s3_server

DAY = "2024-01-02"
RUNS, DATA = "s3://runs/night", "s3://data"
UNITS = 4
WRONG = "another-very-secret-word"


@dataclass(frozen=True)
class Night:
    """A scored day in the store.

    Attributes:
        world: The installation; its disk holds no source data.
        env: By which commands find the store.
        facts: What `lockstep run` said.
        said: All that it printed.
    """

    world: World
    env: dict[str, str]
    facts: dict[str, Any]
    said: str

    @property
    def folder(self) -> RunFolder:
        """Its run folder."""
        return RunFolder.at(self.facts["run_folder"])

    def lockstep(self, *args: str, **env: str) -> "subprocess.CompletedProcess[str]":
        """Run a command on the store."""
        return self.world.run(*args, env={**self.env, **env})

    def again(self, **env: str) -> dict[str, Any]:
        """Run the day again; return its figures."""
        done = self.lockstep("run", "churn", "--date", DAY, "--json", **env)
        assert done.returncode == 0, done.stderr
        facts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return facts


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A running store that this process can reach as well."""
    with s3_server(tmp_path_factory.mktemp("store")) as running, pytest.MonkeyPatch.context() as patch:
        for name, value in running.env.items():
            patch.setenv(name, value)
        stores.store.cache_clear()
        yield running
        stores.store.cache_clear()


@pytest.fixture(scope="module")
def night(world: World, store: Store, tmp_path_factory: pytest.TempPathFactory) -> Night:
    """The world's source data moved into the store, and a day scored there."""
    client = boto3.client("s3", config=Config(retries={"mode": "standard", "max_attempts": 10}))  # it starts up
    for bucket in ("runs", "data"):
        client.create_bucket(Bucket=bucket)
    client.put_object(Bucket="runs", Key="night/")  # as consoles make a folder
    aside = tmp_path_factory.mktemp("aside") / "data"
    shutil.move(world.home / "data", aside)
    for file in aside.rglob("*.parquet"):
        client.upload_file(str(file), "data", file.relative_to(aside).as_posix())
    spec = world.home / "models" / "churn" / "scoring.yaml"
    spec.write_text(spec.read_text().replace("timeout_s: 300", f"timeout_s: 300, unit_rows: {ROWS // UNITS}"))
    env = {**store.env, "LOCKSTEP_RUNS": RUNS, "LOCKSTEP_DATA": DATA}
    done = world.run("run", "churn", "--date", DAY, "--json", env=env)
    assert done.returncode == 0, done.stderr
    return Night(world, env, json.loads(done.stdout.splitlines()[-1]), done.stdout + done.stderr)


def hashes(folder: RunFolder) -> dict[str, str]:
    """The hash of each unit's staged file."""
    return {unit.unit: unit.sha256 for unit in folder.manifest(step="test").units}


def test_a_night_is_in_the_store_alone_and_published(night: Night) -> None:
    assert str(night.folder.path).startswith(f"{RUNS}/churn/{DAY}/")
    assert not (night.world.home / "runs").exists()
    assert not (night.world.home / "data").exists()
    assert len(night.world.published(DAY)) == night.folder.manifest(step="test").rows_scored > 0


def test_a_second_run_changes_nothing(night: Night) -> None:
    before = {name: facts for name, facts in night.folder.path.files_below() if name.startswith("staging/")}
    steps = night.again()["steps"]
    assert steps["publish"]["outcome"] == "noop"
    assert "score" not in steps
    after = {name: facts for name, facts in night.folder.path.files_below() if name.startswith("staging/")}
    assert after == before


def test_the_same_plan_on_a_disk_stages_the_same_bytes(night: Night) -> None:
    copy = RunFolder(night.world.home / "copy" / night.folder.path.name)
    for name, _ in night.folder.path.files_below():
        if name == PLAN or name.startswith("input"):
            copy.file(name).parent.mkdir(parents=True, exist_ok=True)
            night.folder.file(name).download(copy.file(name))
    done = night.lockstep("step", "score", "--run-folder", str(copy.path))
    assert done.returncode == 0, done.stderr
    assert hashes(copy) == hashes(night.folder)


def test_a_run_that_lost_half_is_resumed(night: Night) -> None:
    before = hashes(night.folder)
    first, *_, last = units = night.folder.manifest(step="test").units
    assert len(units) == UNITS
    stays = night.folder.file(first.staged).stat()
    for name in night.folder.names(f"staging/{last.unit}"):
        night.folder.remove(name)
    night.folder.begin(f"staging/{last.unit}/dead.parquet")
    night.folder.remove(MANIFEST)
    done = night.lockstep("step", "score", "--run-folder", str(night.folder.path))
    assert done.returncode == 0, done.stderr
    assert hashes(night.folder) == before
    assert night.folder.file(first.staged).stat() == stays
    assert len([name for name in night.folder.names("staging") if name.endswith(".parquet")]) == UNITS


def test_a_query_sees_the_listed_columns_and_labels_see_all(night: Night) -> None:
    command = [sys.executable, "-m", "tests.integration.stored_frames", f"{DATA}/customers", "2024-01-01", DAY]
    env = {**night.world.env, **night.env, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    listed, every = (json.loads(line) for line in done.stdout.splitlines())
    assert listed == [["day", "id"], 2 * ROWS, 2]
    assert every == [["day", "id", "city", "age", "spend"], 2 * ROWS, 2]


def test_the_page_of_a_run_is_shown_from_the_store_and_nothing_else_of_it(night: Night) -> None:
    site = run_site(ObjectPath.parse(RUNS), spec_of=lambda _: "churn", allowed=lambda: None)
    with TestClient(site) as client:
        base = f"/dags/score_churn/runs/{DAY}/{night.folder.path.name}"
        page = client.get(f"{base}/report.html")
        assert page.status_code == 200
        assert "churn" in page.text
        assert client.get(f"{base}/gx/index.html").status_code in {200, 404}
        for other in (PLAN, "gx/../plan.json", "gx/%2e%2e/plan.json", "staging/u00000/x.parquet", "gx//x"):
            assert client.get(f"{base}/{other}").status_code == 404, other


def test_another_model_is_compared_rolled_back_and_forgotten(night: Night) -> None:
    first = night.world.published(DAY)
    done = night.lockstep("model", "promote", "churn", "--model", str(OTHER_GOOD))
    assert done.returncode == 0, done.stderr
    other = RunFolder.at(night.again()["run_folder"])
    second = night.world.published(DAY)
    assert {row[2] for row in second} == {OTHER_GOOD}

    keys = (str(night.folder.path.name), str(other.path.name))
    said = night.lockstep("diff", *keys, "--json")
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout)

    back = night.lockstep("rollback", "churn", "--date", DAY)
    assert back.returncode == 0, back.stderr
    assert night.world.published(DAY) == first

    spec = night.world.home / "models" / "churn" / "scoring.yaml"
    spec.write_text(spec.read_text() + "retention: {publications: 1, days: 0}\n")
    dry = night.lockstep("vacuum", "churn", "--dry-run")
    assert dry.stdout.startswith(f"run folder {other.path}\n1 run folders"), dry.stdout + dry.stderr
    assert other.path.exists()
    swept = night.lockstep("vacuum", "churn")
    assert swept.returncode == 0, swept.stderr
    assert not other.path.exists()
    assert night.folder.has(PLAN)


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"AWS_SECRET_ACCESS_KEY": WRONG}, "it refuses access"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "there are no credentials"),
        ({"LOCKSTEP_DATA": "s3://nowhere"}, "s3://nowhere/customers: there is no such bucket"),
    ],
)
def test_what_is_wrong_with_a_store_is_said_in_one_line(night: Night, env: dict[str, str], said: str) -> None:
    done = night.lockstep("run", "churn", "--date", "2024-01-03", **env)
    assert done.returncode == 4, done.stdout + done.stderr
    [line] = [line for line in done.stderr.splitlines() if line.startswith("lockstep: error: ")]
    assert said in line
    assert "Traceback" not in done.stderr
    assert not [word for word in (SECRET, WRONG, night.env["AWS_ENDPOINT_URL"]) if word in done.stdout + done.stderr]


@pytest.mark.parametrize("table", [f"{DATA}/customers", "customers"])
def test_a_job_begins_with_a_table_in_the_store(night: Night, tmp_path: Path, table: str) -> None:
    done = night.lockstep("init", "churn", table, "--name", "stored", "--json", LOCKSTEP_MODELS=str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert load_spec(tmp_path / "stored" / "scoring.yaml").spec.input.table.path == table


@pytest.mark.parametrize(
    ("table", "env", "said"),
    [
        ("s3://nowhere/customers", {}, "there is no such"),
        ("nobody", {}, "there is no such file or folder"),
        (f"{DATA}/nobody", {}, "there is no such file or folder"),
        (f"{DATA}/customers", {"AWS_SECRET_ACCESS_KEY": WRONG}, "it refuses access"),
        (f"{DATA}/customers", {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "Could not connect"),
    ],
)
def test_a_job_that_begins_without_a_table_says_why(
    night: Night, tmp_path: Path, table: str, env: dict[str, str], said: str
) -> None:
    done = night.lockstep("init", "churn", table, "--name", "stored", LOCKSTEP_MODELS=str(tmp_path), **env)
    assert done.returncode == 6, done.stdout + done.stderr
    [line] = [line for line in done.stderr.splitlines() if line.startswith("lockstep: error: ")]
    assert said in line
    assert "Traceback" not in done.stderr
    assert not [word for word in (SECRET, WRONG) if word in done.stdout + done.stderr]
    assert list(tmp_path.iterdir()) == []


def test_secrets_are_nowhere(night: Night) -> None:
    """In what was said, the run folder with its plan and records, Spark's logs and conf, the warehouse."""
    assert SECRET not in night.said
    kept = {name: (night.folder.path / name).read_bytes() for name, _ in night.folder.path.files_below()}
    kept |= {str(file): file.read_bytes() for file in Path(night.world.home).rglob("*") if file.is_file()}
    assert PLAN in kept
    assert [name for name, data in kept.items() if SECRET.encode() in data] == []
