"""The table of warehouses: adding one adds a file and a line."""

from collections.abc import Callable

from lockstep.publish.contract import Warehouse


def _duckdb(location: str, wait_s: float) -> Warehouse:
    from lockstep.publish.duckdb_warehouse import DuckDBWarehouse

    return DuckDBWarehouse(location, wait_s)


WAREHOUSES: dict[str, Callable[[str, float], Warehouse]] = {"duckdb": _duckdb}


def open_warehouse(kind: str, location: str, *, wait_s: float) -> Warehouse:
    """Return a warehouse. Nothing is opened or created yet.

    Args:
        kind: As in the spec's `publish.warehouse`.
        location: For DuckDB, the path of the file.
        wait_s: How long an operation waits for another process that holds the warehouse, in seconds.
    """
    return WAREHOUSES[kind](location, wait_s)
