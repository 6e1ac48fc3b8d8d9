"""Every test that takes `place` runs against each warehouse; one PostgreSQL serves them all."""

import contextlib
import datetime as dt
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud.bigquery import Client

from lockstep.publish.contract import PublishRequest, StagedFile
from tests.integration.s3_server import Store
from tests.publish.bigquery_server import PROJECT, BigQueryEmulator, emulating_bigquery
from tests.publish.lake_store import BUCKET, CATALOG, Lake, running_lake
from tests.publish.places import EMULATED, KINDS, SERVERS, Place, make_place
from tests.publish.postgres_server import Server, running
from tests.publish.snowflake_server import Emulator, emulating
from tests.publish.staged import DAY, publish_request, staged_file, staged_table

StageRows = Callable[..., list[StagedFile]]
Request = Callable[..., PublishRequest]
SCHEMAS = itertools.count(1)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("postgres")) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PGPASSWORD", server.cluster.password)
        yield server


@pytest.fixture(scope="session")
def snowflake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with emulating(tmp_path_factory.mktemp("snowflake")) as emulator:
        yield emulator


@pytest.fixture(scope="session")
def bigquery() -> Iterator[BigQueryEmulator]:
    with emulating_bigquery() as emulator:
        yield emulator


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store, for one module: the environment says where it is."""
    with running_lake(tmp_path_factory.mktemp("lake")) as store:
        yield store


@pytest.fixture(scope="module")
def stored_delta(lake: Store) -> Lake:
    return Lake(f"s3://{BUCKET}/{{}}")


@pytest.fixture(scope="module")
def stored_iceberg(lake: Store) -> Lake:
    return Lake(f"catalog:{CATALOG}/{{}}")


def make(kind: str, root: Path, request: pytest.FixtureRequest) -> Place:
    server: Server | Emulator | BigQueryEmulator | Lake | None = (
        request.getfixturevalue(SERVERS[kind]) if kind in SERVERS else None
    )
    return make_place(kind, root, server=server.create(f"w{next(SCHEMAS)}") if server else None)


def left_out(kind: str, module: str, *, test: str) -> str | None:
    """Say why a test is not run against an emulator, if it is not."""
    if kind == "snowflake" and module in {"test_races", "test_faults"}:
        return "an emulator stands for it, whose transactions do not wait for each other"
    if kind == "bigquery" and any(name in test for name in ("side_by_side", "make_and_change")):
        return "an emulator stands for it, whose jobs come one after the other: two other races are enough"
    if kind in EMULATED and module == "test_upkeep" and "one_version" not in test:
        return "one test of upkeep is enough, which only uses what test_contract tests"
    return None


@pytest.fixture(params=[*KINDS, *EMULATED])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty warehouse of each kind; those with tables in a store only where a test asks for them."""
    reason = left_out(request.param, request.path.stem, test=request.node.name)
    if reason:
        pytest.skip(f"{request.param}: {reason}")
    return make(request.param, tmp_path, request)


@pytest.fixture(params=["duckdb", "postgresql"])
def sql_place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty warehouse of each kind that computes reporting tables."""
    return make(request.param, tmp_path, request)


@pytest.fixture
def client(place: Place) -> Iterator[Client]:
    """Of somebody who reads BigQuery and knows nothing of Lockstep."""
    with contextlib.closing(Client(project=PROJECT, credentials=AnonymousCredentials())) as opened:
        yield opened


@pytest.fixture
def stage(tmp_path: Path) -> StageRows:
    """Write the rows of a run as two Parquet files."""

    def write(run_key: str, *, rows: int = 6, day: dt.date = DAY, table: pa.Table | None = None) -> list[StagedFile]:
        folder = tmp_path / "runs" / run_key / str(day)
        folder.mkdir(parents=True, exist_ok=True)
        whole = staged_table(run_key, rows=rows, day=day) if table is None else table
        half = whole.num_rows // 2
        files = []
        for index, part in enumerate([whole.slice(0, half), whole.slice(half)]):
            path = folder / f"part-{index}.parquet"
            pq.write_table(part, path)
            files.append(staged_file(path))
        return files

    return write


@pytest.fixture
def request_for(stage: StageRows) -> Request:
    """Build the publish request of a staged run."""

    def build(run_key: str, token: int, *, rows: int = 6, day: dt.date = DAY, **changes: object) -> PublishRequest:
        files = changes.pop("files", None) or stage(run_key, rows=rows, day=day)
        return publish_request(run_key, token, files=files, rows=rows, partition=day, **changes)

    return build
