"""A project whose profile is a small standalone cluster, for jobs that go through spark-submit like anybody's."""

import shutil
from pathlib import Path

from lockstep.specs.settings import Settings

ROOT = Path(__file__).parents[2]
LINKED = ("jobs", "lockstep", "udfs", "requirements", "pyproject.toml", "README.md", "LICENSE")
# What the machine of a test has, in place of what a cluster has.
SMALL = """\
# Builds on: standalone.
spark.master {url}
spark.driver.host 127.0.0.1
spark.driver.memory 512m
spark.executor.memory 512m
spark.executor.cores 1
spark.cores.max 2
spark.dynamicAllocation.enabled false
spark.ui.enabled false
spark.eventLog.enabled false
spark.driver.extraJavaOptions -XX:+UseSerialGC -XX:TieredStopAtLevel=1
spark.executor.extraJavaOptions -XX:+UseSerialGC -XX:TieredStopAtLevel=1
"""


def make_project(root: Path, url: str, **properties: str) -> Settings:
    """Make a project of this code with a profile `small`; return its settings.

    Args:
        root: Does not exist yet.
        url: Of the cluster.
        properties: Further properties of that profile, `_` for each dot.
    """
    root.mkdir()
    for name in LINKED:
        (root / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "spark-conf", root / "spark-conf")
    lines = [f"{key.replace('_', '.')} {value}\n" for key, value in properties.items()]
    (root / "spark-conf" / "small.conf").write_text(SMALL.format(url=url) + "".join(lines))
    environ = {"LOCKSTEP_PROJECT": str(root), "LOCKSTEP_HOME": str(root / "var"), "LOCKSTEP_SPARK_PROFILE": "small"}
    return Settings.from_env(environ)
