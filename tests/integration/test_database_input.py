"""A table of a real PostgreSQL as the input: begun, tried, and scored to the same bits as its rows in Parquet."""

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from world import DAYS, ROWS, World, customers

from lockstep.data.database_table import open_table
from lockstep.data.table_scan import Day
from lockstep.errors import DatabaseUnreachable
from lockstep.run.folder import INPUT, RunFolder
from lockstep.services.ports import free_port
from lockstep.specs.input_spec import Table
from lockstep.specs.loading import load_spec
from tests.publish.postgres_server import Server, running

DAY, OTHER = "2024-01-02", "2024-01-03"
SHOP = """
CREATE SCHEMA shop;
CREATE TYPE shop.tier AS ENUM ('low', 'high');
CREATE TABLE shop.customers (
    day date, id bigint, segment varchar(8), city text, age numeric(5, 1), spend double precision,
    uid uuid, tier shop.tier, seen timestamptz
);
CREATE VIEW shop.recent AS SELECT * FROM shop.customers WHERE day >= '2024-01-04';
"""


@dataclass(frozen=True)
class Shop:
    """A database with the world's customers, and what says who may read it.

    Attributes:
        world: The installation; its disk holds the same rows in Parquet.
        server: Where the table is.
    """

    world: World
    server: Server

    @property
    def address(self) -> str:
        """The database, without a password."""
        return self.server.location("public").partition("?")[0]

    def execute(self, statement: str) -> None:
        """Change something in the database."""
        password = self.server.cluster.password
        with psycopg.connect(self.address, password=password, autocommit=True) as connection:
            connection.execute(statement)

    def lockstep(self, *args: str, **env: str) -> Any:
        """Run a command that may read the database."""
        return self.world.run(*args, env={"PGPASSWORD": self.server.cluster.password, **env})

    def facts(self, *args: str) -> dict[str, Any]:
        """Run a command that must succeed; return what it says."""
        done = self.lockstep(*args, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found


@pytest.fixture(scope="module")
def shop(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """The table, and a job over it that `lockstep init` began."""
    with running(tmp_path_factory.mktemp("shop")) as server:
        found = Shop(world, server)
        found.execute(SHOP)
        with psycopg.connect(found.address, password=server.cluster.password) as connection:
            cursor = connection.cursor()
            with cursor.copy("COPY shop.customers (day, id, segment, city, age, spend) FROM STDIN") as copy:
                for day in DAYS:
                    for row in reversed(customers(day).to_pylist()):
                        segment = f"s{row['id'] % 3}"
                        copy.write_row((day, row["id"], segment, row["city"], row["age"], row["spend"]))
        begun = found.facts(
            "init",
            "churn",
            f"{found.address}#shop.customers",
            "--name",
            "shop",
            "--key",
            "id",
            "--passthrough",
            "segment",
        )
        assert begun["rows"]
        yield found


def test_a_job_begins_with_a_table_of_a_database(shop: Shop) -> None:
    spec = load_spec(shop.world.home / "models" / "shop" / "scoring.yaml").spec
    assert spec.input.table is not None
    assert spec.input.table.model_dump(exclude_defaults=True) == {
        "format": "postgresql",
        "path": shop.address,
        "name": "shop.customers",
    }
    assert spec.key == ("day", "id")
    assert spec.schedule.start == DAYS[0]
    checked = shop.facts("check", "shop")
    assert checked["ok"]
    assert checked["partition"] == str(DAYS[-1])


def test_the_scores_are_those_of_the_same_rows_in_parquet_and_a_second_run_changes_nothing(shop: Shop) -> None:
    shop.world.score(DAY)
    first = shop.facts("run", "shop", "--date", DAY)
    assert first["steps"]["publish"]["outcome"] == "published"
    query = "SELECT id, risk, segment FROM {} WHERE day = '2024-01-02' ORDER BY id"
    scores = shop.world.query(query.format("shop_scores"))
    assert len(scores) == ROWS
    assert scores == shop.world.query(query.format("churn_scores"))
    again = shop.facts("run", "shop", "--date", DAY)
    assert again["run_folder"] == first["run_folder"]
    assert again["steps"]["publish"]["outcome"] == "noop"


def test_a_day_is_scored_again_only_when_a_value_of_it_has_changed(shop: Shop) -> None:
    before = shop.facts("run", "shop", "--date", OTHER)
    shop.execute("UPDATE shop.customers SET spend = spend")  # other places on the disk, the same values
    shop.execute("UPDATE shop.customers SET spend = spend + 1 WHERE day = '2024-01-04'")
    assert shop.facts("run", "shop", "--date", OTHER)["run_folder"] == before["run_folder"]
    shop.execute("UPDATE shop.customers SET spend = spend + 1 WHERE day = '2024-01-03' AND id = 7")
    after = shop.facts("run", "shop", "--date", OTHER)
    assert after["run_folder"] != before["run_folder"]
    assert after["steps"]["publish"]["outcome"] == "published"


def test_rows_that_change_after_the_plan_are_not_scored(shop: Shop) -> None:
    planned = shop.facts("step", "plan", "shop", "--date", "2024-01-05")
    folder = planned["run_folder"]
    shop.execute("DELETE FROM shop.customers WHERE day = '2024-01-05' AND id = 1")
    done = shop.lockstep("step", "materialize", "--run-folder", folder)
    assert done.returncode == 6
    assert "[LS6015]" in done.stderr
    assert not RunFolder.at(folder).has(INPUT)
    assert not list(Path(folder).rglob("*.parquet"))


def test_every_type_and_a_view_are_read(shop: Shop, tmp_path: Path) -> None:
    shop.execute(
        "UPDATE shop.customers SET uid = gen_random_uuid(), tier = 'high', seen = now() WHERE day > '2024-01-03'"
    )
    table = f"{shop.address}#shop.recent"
    done = shop.lockstep("init", "churn", table, "--name", "recent", "--key", "uid", "--passthrough", "tier,seen",
                         LOCKSTEP_MODELS=str(tmp_path))  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    ran = shop.lockstep("run", "recent", "--date", "2024-01-04", "--json", LOCKSTEP_MODELS=str(tmp_path))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    [(rows, keys, tiers)] = shop.world.query(
        "SELECT count(*), count(DISTINCT uid), count(*) FILTER (tier = 'high' AND seen IS NOT NULL) FROM recent_scores"
    )
    assert rows == keys == tiers == ROWS


@pytest.mark.parametrize(
    ("table", "code", "said"),
    [
        ("{address}", 6, "name the table behind a '#', as in '{address}#shop.customers'"),
        ("{address}#shop.custmers", 6, "there is no such table; the database has shop.customers"),
        ("{address}nowhere#shop.customers", 6, "does not exist"),
        ("postgresql://me:hunter2@host/db#shop.customers", 6, "must hold no credentials"),
        ("postgresql://me@127.0.0.1:{port}/db#shop.customers", 75, "[LS6033]"),
    ],
)
def test_a_table_that_cannot_be_read_is_told_with_a_way_on(
    shop: Shop, tmp_path: Path, table: str, code: int, said: str
) -> None:
    names = {"address": shop.address, "port": free_port()}
    done = shop.lockstep("init", "churn", table.format(**names), "--name", "no", LOCKSTEP_MODELS=str(tmp_path))
    assert done.returncode == code, done.stdout + done.stderr
    [line] = [line for line in done.stderr.splitlines() if line.startswith("lockstep: error: ")]
    assert said.format(**names) in line
    assert "Traceback" not in done.stderr
    assert not [word for word in ("hunter2", shop.server.cluster.password) if word in done.stdout + done.stderr]
    assert list(tmp_path.iterdir()) == []


def test_a_day_that_the_table_lacks_and_a_wrong_password_are_told(shop: Shop) -> None:
    done = shop.lockstep("run", "shop", "--date", "2024-02-01")
    assert done.returncode == 6
    assert "available: 2024-01-01 to 2024-01-05" in done.stderr
    refused = shop.lockstep("run", "shop", "--date", DAY, PGPASSWORD="wrong")
    assert refused.returncode == 6
    assert "password authentication failed" in refused.stderr
    assert shop.server.cluster.password not in refused.stderr


def test_a_server_that_goes_away_while_rows_are_read_may_be_asked_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", shop.server.cluster.password)
    shop.execute(
        "CREATE VIEW shop.many AS SELECT DATE '2024-01-02' AS day, id, repeat('x', 100) AS city "
        "FROM generate_series(1, 3000000) AS id"
    )
    table = Table(format="postgresql", path=shop.address, name="shop.many")
    read = 0

    def consume() -> None:
        nonlocal read
        with open_table(table) as source:
            for batch in source.read(["id", "city"], Day("day", dt.date(2024, 1, 2))):
                if not read:
                    shop.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
                read += batch.num_rows

    with pytest.raises(DatabaseUnreachable, match=r"terminating connection|closed the connection") as caught:
        consume()
    assert 0 < read < 3_000_000
    assert caught.value.retryable
