"""What every system is given: the same files, the same model, the same cores."""

import json
import math
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SCRATCH = ROOT / "var" / "bench"
COMPLETE = "_complete"


@dataclass(frozen=True)
class Job:
    """One workload at one size.

    Attributes:
        workload: Its name.
        rows: In all input files together.
        cores: What the machine may use.
        data: Folder of the input files.
        model: Folder of the model's own files.
        tracking_uri: MLflow store.
        model_name: Registered model.
        model_version: Its version.
        model_path: The artifact in the store.
    """

    workload: str
    rows: int
    cores: int
    data: str
    model: str
    tracking_uri: str
    model_name: str
    model_version: int
    model_path: str

    @property
    def files(self) -> list[Path]:
        """Input files, in order."""
        return sorted(Path(self.data).glob("*.parquet"))

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Job":
        return cls(**json.loads(text))


def file_rows(rows: int, *, rows_per_file: int, fewest_files: int = 8) -> list[int]:
    """Spread rows evenly over files: enough for every core, none larger than asked for."""
    files = max(min(fewest_files, rows), math.ceil(rows / rows_per_file))
    return [rows // files + (number < rows % files) for number in range(files)]


def environment(overrides: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables of every child process: no telemetry, one thread a process, loopback only."""
    own = {
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "ignore",
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "SCARF_NO_ANALYTICS": "true",
        "DAFT_ANALYTICS_ENABLED": "0",
        "DAFT_PROGRESS_BAR": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_CONF_DIR": str(ROOT / "spark-conf"),
        "SPARK_LOCAL_DIRS": str(SCRATCH / "spark"),
        "LOCKSTEP_HOME": str(SCRATCH / "home"),
        "LOCKSTEP_PROJECT": str(ROOT),
    }
    return {**os.environ, **own, **(overrides or {})}


def empty_folder(path: Path) -> Path:
    """Return a folder with nothing in it."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path
