"""The built wheel beside a plain Airflow: no checkout on any path, one line, and somebody's folder of specs."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.package.beside import ROOT, build_wheel, install_beside, made, packages_of

LOOK = """
import json, os, sys
from pathlib import Path
import lockstep
from airflow import plugins_manager
from airflow.dag_processing.dagbag import BundleDagBag
from lockstep.errors import SettingsError
from lockstep.run.submit import data_python, spark_submit
from lockstep.specs.settings import Settings
bag = BundleDagBag(dag_folder=sys.argv[1], bundle_path=Path(sys.argv[1]), bundle_name="theirs")
plugins, problems = plugins_manager._get_plugins()
settings = Settings.from_env(os.environ)
submit = spark_submit(settings, "score", (), python=Path("/p/bin/python"), java_home=Path("/j"))
try:
    said = str(data_python(settings, {}))
except SettingsError as error:
    said = str(error)
print(json.dumps({
    "code": lockstep.__file__, "errors": bag.import_errors,
    "dags": {d.dag_id: len(d.doc_md) for d in bag.dags.values()},
    "plugins": [p.name for p in plugins], "problems": problems, "project": str(settings.project_root), "said": said,
    "files": [str(submit.application), submit.env["SPARK_CONF_DIR"] + "/local.conf"], "path": submit.env["PYTHONPATH"],
}))
"""


@pytest.mark.skipif(not made("control").is_dir(), reason="needs the control environment: make setup-control")
def test_one_line_beside_airflow_gives_all_dags_from_the_wheel_alone(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    python, packages = install_beside("control", theirs, wheel=build_wheel(tmp_path)), packages_of(theirs)
    dags, models = tmp_path / "dags", tmp_path / "models"
    dags.mkdir()
    shutil.copytree(ROOT / "models" / "flight_delay", models / "flight_delay")
    line = f"from lockstep.airflow import dags_from; globals().update(dags_from({str(models)!r}))\n"
    (dags / "lockstep_dags.py").write_text(line)
    env = {"PATH": os.environ["PATH"], "AIRFLOW_HOME": str(tmp_path / "airflow"), "PYTHONWARNINGS": "ignore"}
    env |= {"AIRFLOW__CORE__LOAD_EXAMPLES": "False", "LOCKSTEP_HOME": str(tmp_path / "state")}
    done = subprocess.run(
        [python, "-c", LOOK, dags], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert Path(found["code"]).is_relative_to(packages)
    assert found["errors"] == found["problems"] == {}
    families = ("label", "maintain", "parity", "promote", "report", "rollback", "score", "train")
    assert set(found["dags"]) == {f"{family}_flight_delay" for family in families}
    assert min(found["dags"].values()) > 500
    assert "lockstep" in found["plugins"]
    assert found["project"] == str(tmp_path)
    assert all(Path(file).is_relative_to(packages) and Path(file).is_file() for file in found["files"])
    assert found["path"] == ""
    assert "LOCKSTEP_DATA_PYTHON is 'nothing'" in found["said"]
