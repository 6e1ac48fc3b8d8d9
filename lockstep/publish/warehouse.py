"""The table of warehouses: adding one adds a file and a line."""

from collections.abc import Callable

from lockstep.errors import ExtraMissing
from lockstep.publish.contract import Warehouse


def _duckdb(location: str, wait_s: float) -> Warehouse:
    from lockstep.publish.sql.duckdb_engine import DuckDBEngine
    from lockstep.publish.sql.warehouse import SqlWarehouse

    return SqlWarehouse(DuckDBEngine(location, wait_s))


def _postgresql(location: str, wait_s: float) -> Warehouse:
    from lockstep.publish.sql.postgres_engine import PostgresEngine
    from lockstep.publish.sql.warehouse import SqlWarehouse

    return SqlWarehouse(PostgresEngine(location, wait_s))


def _snowflake(location: str, wait_s: float) -> Warehouse:
    from lockstep.publish.sql.snowflake_engine import SnowflakeEngine
    from lockstep.publish.sql.warehouse import SqlWarehouse

    return SqlWarehouse(SnowflakeEngine(location, wait_s))


def _bigquery(location: str, wait_s: float) -> Warehouse:
    import google.cloud.bigquery  # noqa: F401 - importing from google.cloud would not say which module is missing

    from lockstep.publish.bigquery.warehouse import BigQueryWarehouse

    return BigQueryWarehouse(location, wait_s)


def _iceberg(location: str, wait_s: float) -> Warehouse:
    from lockstep.publish.lake.iceberg_engine import IcebergEngine
    from lockstep.publish.lake.warehouse import LakeWarehouse

    return LakeWarehouse(IcebergEngine(location), wait_s)


def _delta(location: str, wait_s: float) -> Warehouse:
    from lockstep.publish.lake.delta_engine import DeltaEngine
    from lockstep.publish.lake.warehouse import LakeWarehouse

    return LakeWarehouse(DeltaEngine(location), wait_s)


WAREHOUSES: dict[str, Callable[[str, float], Warehouse]] = {
    "duckdb": _duckdb,
    "postgresql": _postgresql,
    "snowflake": _snowflake,
    "bigquery": _bigquery,
    "iceberg": _iceberg,
    "delta": _delta,
}


def open_warehouse(kind: str, location: str, *, wait_s: float) -> Warehouse:
    """Return a warehouse. Nothing is opened or created yet.

    Args:
        kind: As in the spec's `publish.warehouse`.
        location: Path of the DuckDB file; connection string of PostgreSQL; name of a connection to
            Snowflake; project and dataset of BigQuery; folder or catalog of Iceberg; folder or URL of Delta tables.
        wait_s: How long an operation waits for other writers, in seconds.

    Raises:
        ExtraMissing: The libraries of this warehouse are not installed.
    """
    try:
        return WAREHOUSES[kind](location, wait_s)
    except ModuleNotFoundError as error:
        raise ExtraMissing(kind, module=str(error.name), extra=kind) from error
