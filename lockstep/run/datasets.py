"""What files and tables are called in OpenLineage: a namespace and a name, by its naming conventions.

It has none for DuckDB and for Iceberg catalogs; these are called as the OpenLineage integrations of dbt and Spark do.
"""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

POSTGRES_HOST, POSTGRES_PORT, POSTGRES_SCHEMA = "localhost", "5432", "public"
OBJECT_STORES = {"s3": "s3", "s3a": "s3", "s3n": "s3", "gs": "gs", "abfss": "abfss", "abfs": "abfss", "wasbs": "wasbs"}
CATALOG = "catalog:"  # of LOCKSTEP_ICEBERG
ICEBERG_NAMESPACE = "lockstep"


@dataclass(frozen=True)
class DatasetName:
    """The name of a dataset in lineage.

    Attributes:
        namespace: Where it is.
        name: What it is called there.
    """

    namespace: str
    name: str

    @property
    def uri(self) -> str:
        """Where it is, as one text."""
        return f"{self.namespace}:{self.name}" if self.namespace == "file" else self.namespace


def of_path(path: str) -> DatasetName:
    """Return the name of a file or folder: a path of this machine or a URL."""
    parts = urlsplit(path)
    if parts.scheme in OBJECT_STORES:
        return DatasetName(f"{OBJECT_STORES[parts.scheme]}://{parts.netloc}", parts.path.strip("/"))
    if parts.scheme == "hdfs":
        return DatasetName(f"hdfs://{parts.netloc}", parts.path.rstrip("/"))
    local = unquote(parts.path) if parts.scheme == "file" else path
    return DatasetName("file", str(PurePosixPath(local)))


def of_table(kind: str, location: str, table: str, *, environ: Mapping[str, str]) -> DatasetName:
    """Return the name of a published table.

    Args:
        kind: As in the spec's `publish.warehouse`.
        location: Of the warehouse, without secrets.
        table: Its name.
        environ: Says where the configuration of Snowflake's connector is.
    """
    names: dict[str, Callable[[], DatasetName]] = {
        "duckdb": lambda: DatasetName(f"duckdb://{location}", f"{PurePosixPath(location).stem}.main.{table}"),
        "postgresql": lambda: _postgres(location, table),
        "snowflake": lambda: _snowflake(location, table, environ=environ),
        "bigquery": lambda: DatasetName("bigquery", ".".join([*location.split("/")[:2], table])),
        "iceberg": lambda: _iceberg(location, table),
        "delta": lambda: of_path(f"{location.rstrip('/')}/{table}"),
    }
    return names[kind]()


def of_input_table(location: str, table: str) -> DatasetName:
    """Return the name of a table in PostgreSQL that is scored.

    Args:
        location: Of the database, without secrets.
        table: Its name, perhaps with its schema.
    """
    found = _postgres(location, table)
    database, _, rest = found.name.partition(".")
    return DatasetName(found.namespace, f"{database}.{table}" if "." in table else f"{database}.{rest}")


def _postgres(location: str, table: str) -> DatasetName:
    if "://" in location:
        parts = urlsplit(location)
        options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        host, port, user = parts.hostname, str(parts.port or ""), parts.username
        database = unquote(parts.path.lstrip("/"))
    else:
        options = dict(word.split("=", 1) for word in location.split() if "=" in word)
        host, port, user, database = None, "", None, ""
    host = host or options.get("host", "")
    host = host if host and not host.startswith("/") else POSTGRES_HOST  # a path is a socket's
    database = database or options.get("dbname") or user or options.get("user") or "postgres"
    schema = options.get("options", "").partition("search_path=")[2].split(",")[0].split(" ")[0] or POSTGRES_SCHEMA
    return DatasetName(
        f"postgres://{host}:{port or options.get('port', POSTGRES_PORT)}", f"{database}.{schema}.{table}"
    )


def _snowflake(location: str, table: str, *, environ: Mapping[str, str]) -> DatasetName:
    connection, *place = location.split("/")
    known = _snowflake_connection(connection, environ)
    default = [str(known.get("database", "")), str(known.get("schema", "PUBLIC"))]
    database, schema = [*place, *default[len(place) :]]
    names = [name.upper() for name in (database, schema, table) if name]
    account = str(known.get("account", connection)).removesuffix(".snowflakecomputing.com")
    return DatasetName(f"snowflake://{account}", ".".join(names))


def _snowflake_connection(name: str, environ: Mapping[str, str]) -> Mapping[str, object]:
    """Return what the connector's file says of a connection; nothing where it cannot be read from here."""
    home = environ.get("SNOWFLAKE_HOME") or str(Path(environ.get("HOME", "/")) / ".snowflake")
    try:
        text = environ.get("SNOWFLAKE_CONNECTIONS") or (Path(home) / "connections.toml").read_text(encoding="utf-8")
        found = tomllib.loads(text).get(name, {})
    except (OSError, tomllib.TOMLDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def _iceberg(location: str, table: str) -> DatasetName:
    if not location.startswith(CATALOG):  # a folder with a catalog of its own
        return of_path(f"{location.rstrip('/')}/{ICEBERG_NAMESPACE}/{table}")
    catalog, _, namespace = location.removeprefix(CATALOG).partition("/")
    return DatasetName(f"iceberg://{catalog}", f"{namespace or ICEBERG_NAMESPACE}.{table}")
