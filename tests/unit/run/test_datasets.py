from pathlib import Path

import pytest

from lockstep.run.datasets import DatasetName, of_input_table, of_path, of_table


@pytest.mark.parametrize(
    ("path", "namespace", "name"),
    [
        ("/data/flights", "file", "/data/flights"),
        ("/data/flights/", "file", "/data/flights"),
        ("file:///data/a%20b", "file", "/data/a b"),
        ("s3://bucket/a/b/", "s3://bucket", "a/b"),
        ("s3a://bucket/a", "s3://bucket", "a"),
        ("gs://bucket/a", "gs://bucket", "a"),
        ("abfss://box@account.dfs.core.windows.net/a", "abfss://box@account.dfs.core.windows.net", "a"),
        ("hdfs://node:8020/a", "hdfs://node:8020", "/a"),
    ],
)
def test_files_and_folders(path: str, namespace: str, name: str) -> None:
    found = of_path(path)
    assert (found.namespace, found.name) == (namespace, name)


@pytest.mark.parametrize(
    ("kind", "location", "namespace", "name"),
    [
        ("duckdb", "/w/scores.duckdb", "duckdb:///w/scores.duckdb", "scores.main.t"),
        ("postgresql", "postgresql://me@db:5433/ml", "postgres://db:5433", "ml.public.t"),
        ("postgresql", "postgresql:///ml?host=/run/pg", "postgres://localhost:5432", "ml.public.t"),
        ("postgresql", "host=db port=6000 dbname=ml", "postgres://db:6000", "ml.public.t"),
        ("postgresql", "postgresql://me@db", "postgres://db:5432", "me.public.t"),
        ("postgresql", "postgresql://db/ml?options=-csearch_path%3Dscores", "postgres://db:5432", "ml.scores.t"),
        ("snowflake", "analytics/d/s", "snowflake://analytics", "D.S.T"),
        ("snowflake", "analytics", "snowflake://analytics", "PUBLIC.T"),
        ("bigquery", "project/scores", "bigquery", "project.scores.t"),
        ("bigquery", "project/scores/EU", "bigquery", "project.scores.t"),
        ("iceberg", "/lake", "file", "/lake/lockstep/t"),
        ("iceberg", "catalog:prod/ml", "iceberg://prod", "ml.t"),
        ("iceberg", "catalog:prod", "iceberg://prod", "lockstep.t"),
        ("delta", "/lake", "file", "/lake/t"),
        ("delta", "s3://bucket/lake/", "s3://bucket", "lake/t"),
    ],
)
def test_tables(kind: str, location: str, namespace: str, name: str) -> None:
    found = of_table(kind, location, "t", environ={})
    assert (found.namespace, found.name) == (namespace, name)


def test_snowflake_is_called_by_the_account_of_its_connection(tmp_path: Path) -> None:
    toml = '[analytics]\naccount = "org-acc.snowflakecomputing.com"\ndatabase = "d"\npassword = "secret"\n'
    (tmp_path / "connections.toml").write_text(toml)
    found = of_table("snowflake", "analytics", "t", environ={"SNOWFLAKE_HOME": str(tmp_path)})
    assert (found.namespace, found.name) == ("snowflake://org-acc", "D.PUBLIC.T")
    (tmp_path / "connections.toml").write_text("no toml [")
    found = of_table("snowflake", "analytics/d", "t", environ={"SNOWFLAKE_HOME": str(tmp_path)})
    assert (found.namespace, found.name) == ("snowflake://analytics", "D.PUBLIC.T")


@pytest.mark.parametrize(("table", "name"), [("sales.orders", "shop.sales.orders"), ("orders", "shop.public.orders")])
def test_a_table_that_is_scored_in_a_database(table: str, name: str) -> None:
    assert of_input_table("postgresql://me@db/shop", table) == DatasetName("postgres://db:5432", name)
