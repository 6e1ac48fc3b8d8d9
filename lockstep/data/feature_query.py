"""The feature query: declared sources as views, then the model's own SQL.

A source becomes a view that holds only the columns that the spec lists and only the days of its window, so what a
query may know is decided by the spec, not by the care of who writes the SQL. Scoring asks for one day, the training
set for many; the query is the same text.
"""

import datetime as dt
import re
from collections.abc import Mapping
from pathlib import Path

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lockstep.data.stored_source import Days, stored_frame
from lockstep.errors import ColumnMissing, QueryFailed
from lockstep.specs.input_spec import Source
from lockstep.storage.files import Location
from lockstep.storage.objects import ObjectPath

PARTITION_PARAMETER = re.compile(r":partition\b")


def source_frame(spark: SparkSession, source: Source, *, data_root: Location, days: Days) -> DataFrame:
    """Read what one source shows for the given days: its window of days, its listed columns, and no more.

    Args:
        spark: A running session.
        source: As the spec declares it.
        data_root: Folder that the source's path is below.
        days: The scored days.

    Returns:
        The rows; none when the window holds no data (early days have no history yet).

    Raises:
        ColumnMissing: The table lacks a listed column.
    """
    root = data_root / source.path
    if isinstance(root, ObjectPath):
        return stored_frame(spark, source, root, days=None if source.days is None else days.shifted(source.days))
    columns = list(source.columns)
    if source.partition is None or source.days is None:
        table = spark.read.parquet(str(root))
    else:
        columns = [source.partition, *(c for c in columns if c != source.partition)]
        folders = _folders(root, source.partition, days.shifted(source.days))
        if not folders:
            return spark.createDataFrame([], _empty_schema(source))
        # Named one by one: Spark would otherwise list every day of the table.
        table = spark.read.option("basePath", str(root)).parquet(*folders)
        table = table.withColumn(source.partition, F.col(source.partition).cast("date"))
    for column in columns:
        if column not in table.columns:
            raise ColumnMissing(column, where=source.path, expected="a column that the spec lists", got=table.columns)
    return table.select(*columns)


def _folders(root: Path, partition: str, days: Days) -> list[str]:
    each = (days.first + dt.timedelta(days=n) for n in range((days.last - days.first).days + 1))
    folders = (root / f"{partition}={day.isoformat()}" for day in each)
    return [str(folder) for folder in folders if folder.is_dir()]


def _empty_schema(source: Source) -> str:
    listed = {name: kind for name, kind in source.columns.items() if name != source.partition}
    return ", ".join(f"{name} {kind}" for name, kind in {str(source.partition): "date", **listed}.items())


def feature_frame(
    spark: SparkSession, sources: Mapping[str, Source], *, query: Path, data_root: Location, days: Days
) -> DataFrame:
    """Run the feature query over a range of days.

    Args:
        spark: A running session, time zone UTC.
        sources: View name to source.
        query: File of the SQL text; `:partition` in it stands for the scored day and works for one day only.
        data_root: Folder of the source tables.
        days: The scored days.

    Raises:
        ColumnMissing: A source lacks a listed column.
        QueryFailed: Spark refuses the query, or `:partition` is used with several days.
    """
    text = query.read_text(encoding="utf-8")
    if PARTITION_PARAMETER.search(text):
        if days.first != days.last:
            raise QueryFailed(str(query), "it uses :partition and so cannot be run over several days at once")
        text = PARTITION_PARAMETER.sub(f"DATE '{days.first.isoformat()}'", text)
    for view, source in sources.items():
        source_frame(spark, source, data_root=data_root, days=days).createOrReplaceTempView(view)
    try:
        return spark.sql(text)
    except PySparkException as error:
        raise QueryFailed(str(query), str(error).splitlines()[0]) from error
