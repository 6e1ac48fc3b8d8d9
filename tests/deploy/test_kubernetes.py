"""Manifests beside the chart: accounts, pods of Spark and Airflow, KServe's and the Spark operator's resources."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from lockstep.run.profiles import FOLDER, load_profiles
from lockstep.serving.security.exposure import check_exposure
from lockstep.specs.serving_spec import load_serving
from tests.deploy.kube import restricted
from tests.deploy.programs import DEPLOY, HOME, ROOT, linter, passes, run
from tests.unit.deploy.test_images import TARGETS

PLAIN = {
    DEPLOY / "kubernetes" / "access.yaml": 8,
    DEPLOY / "kubernetes" / "spark-pod.yaml": 1,
    DEPLOY / "airflow" / "kubernetes" / "pod_template.yaml": 1,
}
CUSTOM = [
    DEPLOY / "kserve" / "runtime.yaml",
    DEPLOY / "kserve" / "service.yaml",
    DEPLOY / "kubernetes" / "spark-application.yaml",
]
CHECK = Path(__file__).parent / "custom_resources.py"
CONF = {key: found.value for key, found in load_profiles(["k8s"], ROOT / FOLDER).items()}


def load(path: Path) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all(path.read_text(encoding="utf-8")) if each]


def one(path: Path, kind: str) -> dict[str, Any]:
    (found,) = (each for each in load(path) if each["kind"] == kind)
    return found


@pytest.mark.parametrize("version", ["1.30", "1.37"])
def test_kubernetes_accepts_what_is_its_own(version: str) -> None:
    said = passes([linter("kubernetes-validate"), "--strict", "-k", version, *PLAIN])
    assert said.count(" passed for ") == sum(PLAIN.values())


def test_custom_resources_fit_their_models() -> None:
    assert passes([HOME / "bin" / "python", CHECK, *CUSTOM]).splitlines()[-1] == "3 resources, 0 wrong"


@pytest.mark.parametrize(
    ("file", "right", "wrong", "named"),
    [
        (CUSTOM[0], "protocolVersions:", "protocolVersion:", "'protocolVersion'"),
        (CUSTOM[0], "failureThreshold: 60", "failureTreshold: 60", "failureTreshold"),
        (CUSTOM[0], "multiModel: false", "multiModel: 'no'", "multiModel"),
        (CUSTOM[1], "scaleMetric:", "scaleMetrik:", "scaleMetrik"),
        (CUSTOM[2], "instances: 4", "instances: four", "executor.instances"),
        (CUSTOM[2], "  mainApplicationFile:", "  mainFile:", "mainApplicationFile"),
    ],
)
def test_a_wrong_field_would_be_found(tmp_path: Path, file: Path, right: str, wrong: str, named: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert right in text
    (tmp_path / "wrong.yaml").write_text(text.replace(right, wrong), encoding="utf-8")
    done = run([HOME / "bin" / "python", CHECK, tmp_path / "wrong.yaml"])
    assert done.returncode == 1, done.stderr
    assert named in done.stdout


def test_pods_of_spark_and_airflow_are_let_into_a_restricted_namespace() -> None:
    namespace = one(DEPLOY / "kubernetes" / "access.yaml", "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for path in list(PLAIN)[1:]:
        assert [*restricted(one(path, "Pod")["spec"])] == []
    application = one(CUSTOM[2], "SparkApplication")["spec"]
    for part in (application["driver"], application["executor"]):
        container = {"name": "spark", "securityContext": part["securityContext"]}
        pod = {
            "securityContext": part["podSecurityContext"],
            "containers": [container],
            "volumes": application["volumes"],
        }
        assert [*restricted(pod)] == []
    runtime = one(CUSTOM[0], "ClusterServingRuntime")["spec"]
    assert [*restricted(runtime)] == []


def test_names_are_those_of_the_spark_profile() -> None:
    access = load(DEPLOY / "kubernetes" / "access.yaml")
    accounts = {each["metadata"]["name"] for each in access if each["kind"] == "ServiceAccount"}
    namespaces = {each["metadata"].get("namespace", "lockstep") for each in access}
    assert namespaces == {CONF["spark.kubernetes.namespace"]}
    assert CONF["spark.kubernetes.authenticate.driver.serviceAccountName"] in accounts
    assert one(DEPLOY / "airflow" / "kubernetes" / "pod_template.yaml", "Pod")["spec"]["serviceAccountName"] in accounts
    application = one(CUSTOM[2], "SparkApplication")["spec"]
    assert application["driver"]["serviceAccount"] in accounts
    assert application["image"] == CONF["spark.kubernetes.container.image"]
    assert application["image"].partition(":")[0] in TARGETS
    said = application["sparkConf"]
    assert {name: value for name, value in said.items() if CONF.get(name, value) != value} == {}
    assert (ROOT / application["mainApplicationFile"].removeprefix("local:///opt/lockstep/")).is_file()
    pinned = re.search(r"^pyspark==(.+)$", (ROOT / "requirements" / "data.lock").read_text("utf-8"), re.MULTILINE)
    assert pinned is not None
    assert application["sparkVersion"] == pinned.group(1)


def test_roles_are_bound_to_accounts_and_grant_nothing_beyond_pods_and_their_like() -> None:
    access = load(DEPLOY / "kubernetes" / "access.yaml")
    roles = {each["metadata"]["name"]: each for each in access if each["kind"] == "Role"}
    for binding in (each for each in access if each["kind"] == "RoleBinding"):
        (subject,) = binding["subjects"]
        assert binding["roleRef"]["name"] in roles
        assert any(each["kind"] == "ServiceAccount" and each["metadata"]["name"] == subject["name"] for each in access)
    for role in roles.values():
        for rule in role["rules"]:
            assert rule["apiGroups"] == [""]
            assert {*rule["resources"]} <= {"pods", "pods/log", "services", "configmaps", "persistentvolumeclaims"}
            assert "*" not in rule["verbs"]


def test_kserves_replicas_accept_their_configuration(tmp_path: Path) -> None:
    runtime = one(CUSTOM[0], "ClusterServingRuntime")["spec"]
    (container,) = runtime["containers"]
    config, service = one(CUSTOM[1], "ConfigMap"), one(CUSTOM[1], "InferenceService")
    (tmp_path / "serving.yaml").write_text(config["data"]["serving.yaml"], encoding="utf-8")
    serving = load_serving(tmp_path / "serving.yaml")
    check_exposure(serving.host, serving.security)
    assert container["ports"][0]["containerPort"] == serving.port
    assert runtime["volumes"][0]["configMap"]["name"] == config["metadata"]["name"]
    assert service["spec"]["predictor"]["model"]["runtime"] == "lockstep"
    assert service["spec"]["predictor"]["model"]["protocolVersion"] in runtime["protocolVersions"]
    assert service["spec"]["predictor"]["terminationGracePeriodSeconds"] > serving.limits.grace_s
