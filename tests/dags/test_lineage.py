"""The events that Airflow's OpenLineage provider sends of our tasks, over HTTP and into a file, of a real DAG run."""

import json
import os
import subprocess
import sys
import uuid
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import attr
import jsonschema
import pytest
from dateutil.parser import isoparse
from openlineage.client import facet_v2
from openlineage.client.naming import dataset as naming

from lockstep.report.lineage import RUN_FACET, LockstepScoringRunRunFacet
from lockstep.run.datasets import of_path, of_table
from lockstep.run.lineage import lineage_of
from lockstep.specs.loading import load_spec
from tests.dags.receivers import web
from tests.dags.run_folders import DIGEST, RUN_KEY, finished_run

REPOSITORY = Path(__file__).parents[2]
SCHEMA = REPOSITORY / "docs" / "lineage" / "1-0-0" / "LockstepScoringRunRunFacet.json"
DATA_PLANE = """\
case "$*" in
  *resolve*) echo '{"name": "m", "version": 17, "digest": "d"}' ;;
  *plan*) echo '{"run_folder": "FOLDER", "run_key": "k", "partition": "2013-08-01", "model_version": 17, \
"already_live": false}' ;;
  *publish*) [ -e FOLDER/../refuse ] && { echo '{"error": "StaleRun", "message": "newer"}'; exit 8; }
             echo '{"outcome": "published", "rows": 497}' ;;
  *) echo '{}' ;;
esac
"""
TASKS = ["pin_model", "plan", "materialize", "gate", "score", "audit", "publish", "report", "published"]


@dataclass
class Events:
    """What a run sent.

    Attributes:
        sent: Over HTTP.
        filed: Into the file.
        output: Of the process.
    """

    sent: list[dict[str, Any]]
    filed: list[dict[str, Any]]
    output: str

    def of(self, job: str, kind: str) -> dict[str, Any]:
        (found,) = (e for e in self.sent if e["job"]["name"].endswith(job) and e["eventType"] == kind)
        return found


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Events:
    """A run that is refused by the warehouse: seven tasks succeed, and two events have to say that publish did not."""
    root = tmp_path_factory.mktemp("lineage")
    (root / "models" / "flight_delay").mkdir(parents=True)
    spec_file = REPOSITORY / "models" / "flight_delay" / "scoring.yaml"
    (root / "models" / "flight_delay" / "scoring.yaml").write_text(spec_file.read_text())
    folder = finished_run(root, load_spec(spec_file).spec)
    (folder.path.parent / "refuse").touch()
    python = root / "python"
    python.write_text("#!/bin/bash\n" + DATA_PLANE.replace("FOLDER", str(folder.path)))
    python.chmod(0o755)
    with web() as server:
        http = {"type": "http", "url": server.url("")}
        transports = [http, {"type": "file", "log_file_path": str(root / "events.jsonl"), "append": True}]
        env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW__")},
            "AIRFLOW_HOME": str(root / "airflow"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps({"type": "composite", "transports": transports}),
            "AIRFLOW__OPENLINEAGE__NAMESPACE": "ours",
            "LOCKSTEP_MODELS": str(root / "models"),
            "LOCKSTEP_HOME": str(root),
            "LOCKSTEP_DATA_PYTHON": str(python),
            "PYTHONPATH": str(REPOSITORY),
        }
        command = [sys.executable, "-m", "tests.dags.lineage_run", "score_flight_delay"]
        done = subprocess.run(
            command, env=env, cwd=REPOSITORY, capture_output=True, text=True, timeout=400, check=False
        )
        output = done.stdout + done.stderr
        assert done.returncode == 0, output[-4000:]
        sent = [body for _, _, body in server.got]
    filed = [json.loads(line) for line in (root / "events.jsonl").read_text().splitlines()]
    return Events(sent, filed, output)


def test_each_attempt_at_a_task_is_one_run_with_a_beginning_and_an_end(events: Events) -> None:
    kinds = defaultdict(list)
    for event in events.sent:
        kinds[event["job"]["name"], event["run"]["runId"]].append(event["eventType"])
    (of_dag,) = (key for key in kinds if key[0] == "score_flight_delay")
    assert kinds.pop(of_dag)[-1] == "FAIL"
    # No job of Spark, none twice; `published` is not begun, and the warehouse refuses `publish`.
    assert [job.removeprefix("score_flight_delay.") for job, _ in kinds] == TASKS[:-1]
    ends = {job.rpartition(".")[2]: found for (job, _), found in kinds.items()}
    assert ends.pop("publish") == ["START", "FAIL"]
    assert all(found == ["START", "COMPLETE"] for found in ends.values())
    parents = [e["run"]["facets"]["parent"] for e in events.sent if "." in e["job"]["name"]]
    assert {(p["job"]["namespace"], p["job"]["name"], p["run"]["runId"]) for p in parents} == {("ours", *of_dag)}


def test_both_transports_get_the_same(events: Events) -> None:
    assert events.filed == events.sent


def test_every_event_is_what_openlineage_says_an_event_is(events: Events) -> None:
    """Without the specification's own schema: by the classes that are generated from it, which know each field."""
    for event in events.sent:
        assert uuid.UUID(event["run"]["runId"])
        assert isoparse(event["eventTime"]).tzinfo
        assert event["schemaURL"].startswith("https://openlineage.io/spec/2-0-2/OpenLineage.json")
        datasets = [*event["inputs"], *event["outputs"]]
        assert len({(d["namespace"], d["name"]) for d in datasets}) == len(datasets)
        for place in (event["run"], event["job"], *datasets):
            for role in ("facets", "inputFacets", "outputFacets"):
                for name, facet in place.get(role, {}).items():
                    assert facet["_producer"]
                    assert ":" in facet["_schemaURL"]
                    check_fields(name, facet)


def check_fields(name: str, facet: dict[str, Any]) -> None:
    """Rebuild a facet of ours with the generated class that its schema URL names; a field too many or few fails."""
    if not facet["_producer"].startswith("urn:lockstep:"):
        return
    kind = facet["_schemaURL"].rpartition("/")[2]
    modules = (getattr(facet_v2, module) for module in dir(facet_v2) if module.endswith(("_dataset", "_run")))
    found = next((getattr(module, kind) for module in modules if hasattr(module, kind)), LockstepScoringRunRunFacet)
    fields = {key: value for key, value in facet.items() if not key.startswith("_")}
    assert set(attr.asdict(found(**fields))) - {"_producer", "_schemaURL"} >= set(fields), name
    assert found._get_schema() == facet["_schemaURL"]


def test_our_facet_says_which_run_it_is_and_fits_its_schema(events: Events) -> None:
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    found = [e["run"]["facets"].get(RUN_FACET) for e in events.sent if "." in e["job"]["name"]]
    known = [facet for facet in found if facet]
    assert len(known) == len(found) - 4  # pin_model, and the beginnings of plan and report, know no run folder
    for facet in known:
        validator.validate({RUN_FACET: facet})
        assert facet["_schemaURL"].startswith(schema["$id"] + "#/$defs/")
    facet = events.of(".publish", "FAIL")["run"]["facets"][RUN_FACET]
    assert (facet["partition"], facet["runKey"], facet["modelVersion"]) == ("2013-08-01", RUN_KEY, 17)
    assert (facet["modelDigest"], facet["rowsScored"], facet["rowsQuarantined"]) == (DIGEST, 497, 3)
    assert facet["scorePsi"] == 0.125
    with pytest.raises(jsonschema.ValidationError):
        validator.validate({RUN_FACET: {**facet, "partition": None}})


def test_publish_reads_the_sources_and_writes_the_table(events: Events) -> None:
    event = events.of(".publish", "FAIL")
    *sources, staged = event["inputs"]
    assert [Path(source["name"]).name for source in sources] == ["flights", "weather", "planes"]
    assert all(source["namespace"] == "file" for source in sources)
    assert sources[0]["inputFacets"]["inputStatistics"]["fileCount"] == 2
    assert "sched_dep_time" in [field["name"] for field in sources[0]["facets"]["schema"]["fields"]]
    (good, bad) = staged["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert (good["success"], good["severity"], good["actual"]) == (True, "error", "0 nulls")
    assert (bad["success"], bad["severity"], bad.get("column")) == (False, "warn", None)
    (table,) = event["outputs"]
    assert table["namespace"].startswith("duckdb:///")
    assert table["name"] == "warehouse.main.flight_delay_scores"
    assert table["outputFacets"]["outputStatistics"]["rowCount"] == 497
    assert table["facets"]["version"]["datasetVersion"] == RUN_KEY


def test_names_are_those_of_openlineages_own_conventions() -> None:
    def table(kind: str, location: str, **environ: str) -> tuple[str, str]:
        name = of_table(kind, location, "t", environ=environ)
        return name.namespace, name.name

    def own(convention: naming.DatasetNaming) -> tuple[str, str]:
        return convention.get_namespace(), convention.get_name()

    toml = '[analytics]\naccount = "org-acc"\ndatabase = "d"\nschema = "s"'
    postgres = own(naming.Postgres(host="h", port="5433", database="db", schema="public", table="t"))
    assert table("postgresql", "postgresql://u@h:5433/db") == postgres
    snowflake = own(naming.Snowflake("org", "acc", "D", "S", "T"))
    assert table("snowflake", "analytics", SNOWFLAKE_CONNECTIONS=toml) == snowflake
    assert table("bigquery", "p/d/EU") == own(naming.BigQuery("p", "d", "t"))
    path = of_path("s3://bucket/folder/t")
    assert (path.namespace, path.name) == own(naming.S3("bucket", "folder/t"))
    assert table("delta", "/lake") == own(naming.LocalFileSystem("/lake/t"))


def test_a_run_without_a_readable_plan_has_no_lineage_and_no_error(tmp_path: Path) -> None:
    folder = finished_run(tmp_path, load_spec(REPOSITORY / "models" / "flight_delay").spec)
    assert [name.name.name for name in lineage_of(folder, "audit").inputs] == [str(tmp_path / "runs" / "flight_delay")]
    for text in ("{", None):
        folder.file("plan.json").write_text(text) if text else folder.file("plan.json").unlink()
        assert lineage_of(folder, "audit").inputs == ()


def test_nothing_is_sent_unless_a_transport_is_set(models: Path) -> None:
    from airflow.providers.openlineage import conf
    from airflow.providers.openlineage.plugins.openlineage import OpenLineageProviderPlugin

    assert conf.is_disabled()
    assert OpenLineageProviderPlugin.listeners == []
