"""What a scoring job scores: a query's result, or a table."""

from typing import Literal, Self

from pydantic import Field, model_validator

from lockstep.specs.fields import CatalogProperties, ColumnType, Identifier, Location, RelativePath
from lockstep.specs.strict import Strict

DATABASE_SCHEMES = ("postgresql://", "postgres://")


class Source(Strict):
    """One table, as the feature query sees it: only these columns, only this window of days."""

    path: RelativePath = Field(description="Parquet folder below the data root.")
    partition: Identifier | None = Field(None, description="Hive partition column (a date); none: a static table.")
    days: tuple[int, int] | None = Field(None, description="First and last day, relative to the scored partition.")
    columns: dict[Identifier, ColumnType] = Field(min_length=1, description="The only columns the query can see.")

    @model_validator(mode="after")
    def _window_fits(self) -> Self:
        if (self.partition is None) != (self.days is None):
            raise ValueError("'partition' and 'days' go together: a static table has neither")
        if self.days is not None and self.days[0] > self.days[1]:
            raise ValueError(f"'days' must be [first, last] with first <= last, got {list(self.days)}")
        return self

    @property
    def is_current(self) -> bool:
        """Whether the window is exactly the partition that is scored."""
        return self.days == (0, 0)


class Table(Strict):
    """A table whose rows are scored as they are, without a query and without a copy.

    The day is selected by the spec's partition column, whether it is a partition or a plain column of the table.
    """

    format: Literal["parquet", "iceberg", "delta", "postgresql"] = Field("parquet", description="Kind of table.")
    path: Location | None = Field(
        None,
        description="Folder, file or URL (file://, s3://, ...); of an Iceberg table: its metadata file or folder; "
        "of a table in PostgreSQL: the database, postgresql://user@host:5432/database.",
    )
    catalog: str | None = Field(
        None, min_length=1, description="Iceberg catalog, as PyIceberg's configuration names it."
    )
    name: str | None = Field(
        None,
        min_length=1,
        description="Table in the Iceberg catalog (namespace.table) or in PostgreSQL (schema.table).",
    )
    properties: CatalogProperties = Field(
        default_factory=dict, description="Further properties of the Iceberg catalog or store: uri, s3.endpoint, ..."
    )
    whole: bool = Field(False, description="Score all rows as the day: a table without the partition column.")

    @model_validator(mode="after")
    def _is_named_once(self) -> Self:
        if self.format != "iceberg" and (self.catalog or self.properties):
            raise ValueError("'catalog' and 'properties' are for format: iceberg")
        if self.format in {"parquet", "delta"} and self.name:
            raise ValueError("'name' is for format: iceberg and format: postgresql")
        if self.format == "postgresql" and not (self.name and str(self.path).startswith(DATABASE_SCHEMES)):
            raise ValueError("a table in PostgreSQL needs 'path', as postgresql://user@host:5432/database, and 'name'")
        if self.format != "iceberg" and self.path is None:
            raise ValueError("'path' is required")
        if self.format == "iceberg" and (self.path is None) == (self.catalog is None or self.name is None):
            raise ValueError("an Iceberg table needs either 'path', its metadata file, or 'catalog' and 'name'")
        if self.format == "iceberg" and self.path is not None and (self.catalog or self.name):
            raise ValueError("'path' and 'catalog' exclude each other")
        return self

    @property
    def label(self) -> str:
        """What messages call the table."""
        if self.format == "postgresql":
            return f"{self.path}#{self.name}"
        return self.path or f"{self.catalog}:{self.name}"


class Input(Strict):
    """What is scored: the result of a Spark SQL query over declared sources, or the rows of a table."""

    query: RelativePath | None = Field(None, description="Spark SQL file beside the spec.")
    sources: dict[Identifier, Source] = Field(default_factory=dict, description="View name to source table.")
    table: Table | None = Field(None, description="A table that is scored directly, instead of query and sources.")

    @model_validator(mode="after")
    def _is_one_kind(self) -> Self:
        if (self.table is None) == (self.query is None and not self.sources):
            raise ValueError("give either 'query' and 'sources', or 'table'")
        if self.table is None and (self.query is None or not self.sources):
            raise ValueError("'query' and 'sources' go together")
        if self.table is None and not any(source.is_current for source in self.sources.values()):
            raise ValueError("at least one source must have days: [0, 0], the partition that is scored")
        return self

    @property
    def feature_query(self) -> str:
        """The query's file; only an input with a query may be asked."""
        if self.query is None:
            raise ValueError("a table input has no query")
        return self.query
