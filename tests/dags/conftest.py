"""DAG tests run in the control environment: `.venv/control/bin/python -m pytest tests/dags`."""

import os
import sys
import tempfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
# Airflow reads its configuration when it is imported: a folder of its own, no examples, no database.
os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="lockstep-dags-"))
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW__CORE__PLUGINS_FOLDER"] = str(REPOSITORY / "plugins")
os.environ["AIRFLOW__USAGE_DATA_COLLECTION__ENABLED"] = "False"
for folder in (REPOSITORY, REPOSITORY / "dags"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


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
