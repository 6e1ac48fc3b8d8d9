"""What executors get from `lockstep package`: its names, and the properties by which Spark hands it out.

Two archives, so that a change of code does not move gigabytes: the environment, named after its lock, and the code,
named after its digest.
"""

import hashlib
import platform
from pathlib import Path

from lockstep.errors import ArchiveMissing
from lockstep.run.versions import code_digest, lock_digest
from lockstep.specs.settings import Settings

ENVIRONMENT, CODE = "environment", "lockstep-code"  # folders that Spark unpacks them into, on the executor
WHAT = {ENVIRONMENT: "the archive of the environment", CODE: "the archive of the code"}
# Raised when the same lock shall give another archive.
FORMAT = 1
# Hadoop's name of the scheme under which Spark reads S3.
SCHEMES = {"s3://": "s3a://"}


def lock_path(settings: Settings) -> Path:
    """Return the lock of the data environment."""
    return settings.project_root / "requirements" / "data.lock"


def executor_packages(settings: Settings) -> list[str]:
    """Return the names of what executors need, without what those need in turn."""
    lines = (settings.project_root / "requirements" / "executor.txt").read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def environment_name(settings: Settings, *, driver: bool) -> str:
    """Return the file name of the environment that the lock makes on this kind of machine.

    Args:
        settings: Where the project is.
        driver: Whether it holds all of the lock, for a driver inside the cluster.
    """
    kind = "driver" if driver else "executor"
    machine = f"{platform.system().lower()}-{platform.machine()}"
    roots = [] if driver else sorted(executor_packages(settings))
    recipe = hashlib.sha256(repr((FORMAT, roots)).encode()).hexdigest()[:6]
    lock = lock_digest(lock_path(settings))
    return f"lockstep-{kind}-{machine}-py{platform.python_version()}-{lock}-{recipe}.tar.gz"


def code_name(settings: Settings) -> str:
    """Return the file name of the code as it is now."""
    return f"lockstep-code-{code_digest(settings.project_root)}.zip"


def shipped_properties(settings: Settings, *, python: Path, in_cluster: bool) -> dict[str, str]:
    """Return the properties that hand out the archives, none where LOCKSTEP_SPARK_ARCHIVE is not set.

    Args:
        settings: Where the archives are.
        python: Interpreter of a driver that runs here.
        in_cluster: Whether the driver runs inside the cluster, and gets them too.

    Raises:
        ArchiveMissing: One is not in that folder (a URL is not looked at).
    """
    where = settings.spark_archive.rstrip("/")
    if not where:
        return {}
    command = f"lockstep package --output {where}" + (" --driver" if in_cluster else "")
    names = {ENVIRONMENT: environment_name(settings, driver=in_cluster), CODE: code_name(settings)}
    if "://" not in where:
        for what, name in names.items():
            if not (Path(where) / name).is_file():
                raise ArchiveMissing(str(Path(where) / name), what=WHAT[what], command=command)
        where = str(Path(where).absolute())
    for scheme, spark in SCHEMES.items():
        where = spark + where.removeprefix(scheme) if where.startswith(scheme) else where
    interpreter = f"./{ENVIRONMENT}/bin/python"
    return {
        "spark.archives": ",".join(f"{where}/{name}#{folder}" for folder, name in names.items()),
        "spark.pyspark.python": interpreter,
        "spark.pyspark.driver.python": interpreter if in_cluster else str(python),
        "spark.executorEnv.PYTHONPATH": f"./{CODE}",
        **({"spark.yarn.appMasterEnv.PYTHONPATH": f"./{CODE}"} if in_cluster else {}),
    }
