"""DAG tests run in the control environment: `.venv/control/bin/python -m pytest tests/dags`."""

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
# Airflow reads its configuration when it is imported: a folder of its own, no examples, no database.
os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="lockstep-dags-"))
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW__USAGE_DATA_COLLECTION__ENABLED"] = "False"
if str(REPOSITORY) not in sys.path:
    sys.path.insert(0, str(REPOSITORY))


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A models folder with one valid spec, `flight_delay`, which the settings point at."""
    root = tmp_path / "models"
    (root / "flight_delay").mkdir(parents=True)
    text = (REPOSITORY / "models" / "flight_delay" / "scoring.yaml").read_text(encoding="utf-8")
    (root / "flight_delay" / "scoring.yaml").write_text(text, encoding="utf-8")
    monkeypatch.setenv("LOCKSTEP_MODELS", str(root))
    monkeypatch.setenv("LOCKSTEP_HOME", str(tmp_path / "var"))
    return root


@pytest.fixture
def data_plane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Install a shell script as the data plane's Python, and another one as its spark-submit."""
    from lockstep.airflow import spark

    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("LOCKSTEP_DATA_PYTHON", str(folder / "python"))
    monkeypatch.setenv("LOCKSTEP_HOME", str(tmp_path / "var"))
    monkeypatch.setenv("AIRFLOW_CONN_SPARK_DEFAULT", '{"conn_type": "spark", "host": "local[2]"}')
    monkeypatch.setattr(spark, "find_java_home", lambda *_, **__: tmp_path)

    def install(script: str) -> None:
        for name in ("python", "spark-submit"):
            (folder / name).write_text(f"#!/bin/bash\n{script}\n")
            (folder / name).chmod(0o755)

    return install
