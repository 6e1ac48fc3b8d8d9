"""The Helm chart: helm's own lint, Kubernetes' own schemas, the endpoint's own reading of its configuration."""

import copy
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

import lockstep
from lockstep.serving.security.exposure import check_exposure
from lockstep.specs.serving_spec import Serving, load_serving
from tests.deploy.kube import problems
from tests.deploy.programs import DEPLOY, ROOT, found, linter, passes, run

CHART = DEPLOY / "helm" / "lockstep"
CASES: dict[str, Path | None] = {"default": None, **{file.stem: file for file in sorted((CHART / "ci").glob("*.yaml"))}}
VERSIONS = ("1.30", "1.37")  # the oldest that Chart.yaml allows, and the newest that the validator knows
Manifest = dict[str, Any]


def given(case: str) -> list[str | Path]:
    file = CASES[case]
    return ["--values", file] if file else []


@cache
def text_of(case: str) -> str:
    """What helm makes of the values of a case."""
    return passes([found("helm"), "template", "scores", CHART, "--namespace", "scoring", *given(case)])


@pytest.fixture(scope="module", params=CASES)
def rendered(request: pytest.FixtureRequest) -> tuple[str, list[Manifest]]:
    """The name of a case, and its manifests."""
    return request.param, [each for each in yaml.safe_load_all(text_of(request.param)) if each]


def only(manifests: list[Manifest], kind: str) -> Manifest:
    (manifest,) = (each for each in manifests if each["kind"] == kind)
    return manifest


def served(manifests: list[Manifest], folder: Path) -> Serving:
    (folder / "serving.yaml").write_text(only(manifests, "ConfigMap")["data"]["serving.yaml"], encoding="utf-8")
    return load_serving(folder / "serving.yaml")


@pytest.mark.parametrize("case", CASES)
def test_helm_finds_nothing(case: str) -> None:
    passes([found("helm"), "lint", "--strict", CHART, *given(case)])


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_accepts_every_manifest(version: str, tmp_path: Path) -> None:
    for case in CASES:
        (tmp_path / f"{case}.yaml").write_text(text_of(case), encoding="utf-8")
    said = passes([linter("kubernetes-validate"), "--strict", "-k", version, *sorted(tmp_path.iterdir())])
    kinds = sum(text_of(case).count("\nkind: ") for case in CASES)
    assert said.count(" passed for ") == kinds >= 6 * len(CASES)


def test_pods_are_bounded_selected_and_stopped_as_they_should(rendered: tuple[str, list[Manifest]]) -> None:
    assert problems(rendered[1]) == []


def test_the_endpoint_accepts_its_configuration(rendered: tuple[str, list[Manifest]], tmp_path: Path) -> None:
    serving = served(rendered[1], tmp_path)
    check_exposure(serving.host, serving.security)
    pod = only(rendered[1], "Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    assert ports == {"http": serving.port, **({"grpc": serving.grpc_port} if serving.grpc_port else {})}
    mounts = {each["mountPath"]: each["name"] for each in container["volumeMounts"]}
    volumes = {each["name"]: each for each in pod["volumes"]}
    for file in (serving.security.api_keys, serving.security.tls and serving.security.tls.certificate):
        assert file is None or "secret" in volumes[mounts[str(Path(file).parent)]]
    scheme = "HTTPS" if serving.security.tls else "HTTP"
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["scheme"] == scheme


def test_a_stop_leaves_time_for_running_requests(rendered: tuple[str, list[Manifest]], tmp_path: Path) -> None:
    pod = only(rendered[1], "Deployment")["spec"]["template"]["spec"]
    pause = pod["containers"][0].get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    limits = served(rendered[1], tmp_path).limits
    least = pause + 2 * getattr(limits, "drain_s", 0) + limits.grace_s
    assert least + 10 <= pod["terminationGracePeriodSeconds"] < least + 12


def test_probes_and_metrics_are_paths_of_the_endpoint(rendered: tuple[str, list[Manifest]]) -> None:
    source = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "lockstep" / "serving").rglob("*.py"))
    template = only(rendered[1], "Deployment")["spec"]["template"]
    (container,) = template["spec"]["containers"]
    paths = {container[probe]["httpGet"]["path"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")}
    for path in (*paths, template["metadata"]["annotations"]["prometheus.io/path"]):
        assert f'"{path}"' in source


def test_no_secret_is_in_a_manifest(rendered: tuple[str, list[Manifest]]) -> None:
    assert not [each for each in rendered[1] if each["kind"] == "Secret"]


BAD = {
    "replicas=0": "/replicas",
    "image.tag=latest": "/image/tag",
    "image.digest=sha256:1": "/image/digest",
    "surprise=1": "surprise",
    "serving.port=9090": "'port'",
    "serving.host=127.0.0.1": "'host'",
    "serving.models=null": "'models'",
    'serving.models=[{"slo_ms": 5}]': "/serving/models/0",
    "serving.grpc_port=8080": "/serving/grpc_port",
    "serving.security.plaintext=true": "/serving/security",
    "env.AWS_SECRET_ACCESS_KEY=hush": "AWS_SECRET_ACCESS_KEY",
    "mlflow.trackingUri=http://user:hush@mlflow": "/mlflow/trackingUri",
    "podDisruptionBudget.maxUnavailable=0": "/podDisruptionBudget/maxUnavailable",
    "resources.limits.memory=lots": "/resources/limits/memory",
    "auth.anonymous=false": "nobody could ask",
    "serving.security.mtls.ca=clients.pem": "the kubelet shows no certificate",
    "autoscaling.enabled=true,autoscaling.minReplicas=5,autoscaling.maxReplicas=2": "maxReplicas is below",
    "gpu.enabled=maybe": "/gpu/enabled",
}


@pytest.mark.parametrize("values", BAD)
def test_bad_values_are_refused_and_named(values: str) -> None:
    option = "--set-json" if values.endswith("]") else "--set"
    done = run([found("helm"), "template", "scores", CHART, option, values])
    assert done.returncode != 0
    assert BAD[values] in done.stderr


def test_values_are_all_in_the_schema_and_known_to_the_endpoint() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    assert schema["properties"].keys() - {"global"} == values.keys()
    # The chart says where it listens, and replicas know nothing of a gateway.
    said = schema["properties"]["serving"]["properties"].keys()
    assert said == Serving.model_fields.keys() - {"host", "port", "gateway"}


def test_the_chart_is_of_this_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert (chart["version"], chart["appVersion"]) == (lockstep.__version__, lockstep.__version__)


def without(*path: str | int) -> Callable[[list[Manifest]], None]:
    def change(manifests: list[Manifest]) -> None:
        part: Any = only(manifests, "Deployment")
        for key in path[:-1]:
            part = part[key]
        del part[path[-1]]

    return change


POD = ("spec", "template", "spec")
OF_CONTAINER = (*POD, "containers", 0)
HURT: dict[str, Callable[[list[Manifest]], None]] = {
    "may run as root": without(*POD, "securityContext", "runAsNonRoot"),
    "no numeric user": without(*POD, "securityContext", "runAsUser"),
    "no seccomp": without(*POD, "securityContext", "seccompProfile"),
    "keeps capabilities": without(*OF_CONTAINER, "securityContext", "capabilities"),
    "more rights": without(*OF_CONTAINER, "securityContext", "allowPrivilegeEscalation"),
    "write to its image": without(*OF_CONTAINER, "securityContext", "readOnlyRootFilesystem"),
    "no requests": without(*OF_CONTAINER, "resources", "limits", "memory"),
    "no startupProbe": without(*OF_CONTAINER, "startupProbe"),
    "token of the cluster": without(*POD, "automountServiceAccountToken"),
    "are not those that are mounted": without(*POD, "volumes", 0),
    "Service selects other pods": without("spec", "template", "metadata", "labels", "app.kubernetes.io/component"),
    "by neither": without("spec", "replicas"),
    "no PodDisruptionBudget": lambda all_: all_.remove(only(all_, "PodDisruptionBudget")),
    "names no version": lambda all_: only(all_, "Deployment")["spec"]["template"]["spec"]["containers"][0].update(
        image="lockstep:latest"
    ),
    "a drain may take": lambda all_: only(all_, "PodDisruptionBudget")["spec"].update(maxUnavailable=3),
    "NetworkPolicy selects": lambda all_: only(all_, "NetworkPolicy")["spec"]["podSelector"].update(
        matchLabels={"app": "other"}
    ),
    "killed before": lambda all_: only(all_, "Deployment")["spec"]["template"]["spec"].update(
        terminationGracePeriodSeconds=12
    ),
}


@pytest.fixture(scope="module")
def sound() -> list[Manifest]:
    return [each for each in yaml.safe_load_all(text_of("default")) if each]


@pytest.mark.parametrize("expected", HURT)
def test_what_is_missing_would_be_found(sound: list[Manifest], expected: str) -> None:
    hurt = copy.deepcopy(sound)
    HURT[expected](hurt)
    assert any(expected in line for line in problems(hurt))
