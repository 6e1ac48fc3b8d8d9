"""What parsing imports where OpenLineage is off, and where it is on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
LOOK = """
import sys
from lockstep.airflow import scoring
print("openlineage.client" in sys.modules)
import airflow.providers.openlineage.utils.spark
"""


@pytest.mark.parametrize("is_on", [False, True])
def test_openlineage_is_imported_where_it_is_on(tmp_path: Path, is_on: bool) -> None:
    """And it can be imported later in any case."""
    env = {
        **{name: value for name, value in os.environ.items() if "OPENLINEAGE" not in name},
        "AIRFLOW_HOME": str(tmp_path),
        "PYTHONPATH": str(REPOSITORY),
        **({"AIRFLOW__OPENLINEAGE__TRANSPORT": '{"type": "console"}'} if is_on else {}),
    }
    done = subprocess.run([sys.executable, "-c", LOOK], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == str(is_on)
