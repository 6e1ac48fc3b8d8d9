"""The keys of the profiles against this Spark's own registry of settings, and their values against its parsers."""

import contextlib
import re
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from lockstep.run.profiles import FOLDER, load_profiles, read_profile

SHIPPED = Path(__file__).parents[2] / FOLDER
# Objects that register their settings when they are first used.
OBJECTS = (
    *(f"org.apache.spark.internal.config.{name}$" for name in ("package", "Python", "Network", "UI", "Deploy")),
    "org.apache.spark.sql.internal.SQLConf$",
    "org.apache.spark.sql.internal.StaticSQLConf$",
    "org.apache.spark.deploy.k8s.Config$",
    "org.apache.spark.deploy.yarn.config.package$",
)
# Keys with a name in them, which no registry can list.
NAMED = re.compile(
    r"spark\.executorEnv\.[A-Z_]+|spark\.(driver|executor|task)\.resource\.\w+\.(amount|discoveryScript|vendor)"
)
# Registered by nobody, and read by spark-submit or by standalone's scheduler.
UNREGISTERED = {"spark.master"}


@pytest.fixture(scope="module")
def registry(spark: SparkSession) -> Any:
    """Spark's settings by key."""
    jvm = spark.sparkContext._jvm
    for name in OBJECTS:
        jvm.java.lang.Class.forName(name)
    entries = jvm.java.lang.Class.forName("org.apache.spark.internal.config.ConfigEntry$")
    field = entries.getDeclaredField("knownConfigs")
    field.setAccessible(True)
    return field.get(entries.getField("MODULE$").get(None))


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.conf")), ids=lambda path: path.stem)
def test_spark_knows_every_key_and_reads_every_value(registry: Any, path: Path) -> None:
    for key, value in read_profile(path).items():
        if key in UNREGISTERED or NAMED.fullmatch(key):
            continue
        entry = registry.get(key)
        assert entry is not None, f"{path.name}: this Spark knows no {key}"
        with contextlib.suppress(ValueError):  # a fraction, which the bridge from Java takes for a whole number
            entry.valueConverter().apply(value)


def test_the_registry_tells_known_from_unknown(registry: Any) -> None:
    assert registry.get("spark.speculation.quantil") is None
    with pytest.raises(Exception, match="should be"):
        registry.get("spark.speculation").valueConverter().apply("yes")


def test_values_that_belong_together_fit(registry: Any) -> None:
    for names in (("standalone",), ("yarn",), ("k8s",), ("standalone", "gpu")):
        values = {key: found.value for key, found in load_profiles(names, SHIPPED).items()}

        def seconds(key: str, values: dict[str, str] = values) -> float:
            return float(registry.get(key).valueConverter().apply(values[key])) / 1000

        # A host is lost after several missed signs of life, and is noticed soon after.
        silence = seconds("spark.network.timeout") * 1000  # this one is read in seconds
        assert seconds("spark.executor.heartbeatInterval") * 3 < silence
        assert seconds("spark.network.timeoutInterval") < silence
        assert int(values["spark.executor.cores"]) % int(values.get("spark.task.cpus", "1")) == 0
