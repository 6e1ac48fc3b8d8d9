"""What every workload of ours on Kubernetes has to have, whoever wrote its manifest."""

from collections.abc import Iterator, Mapping
from typing import Any

Manifest = dict[str, Any]
WORKLOADS = {"Deployment", "StatefulSet", "DaemonSet", "Job", "Pod"}
# Seconds for the endpoint to end after it stopped to answer: server, logs, spans (docs/observability.md).
MARGIN_S = 5


def pod_of(manifest: Manifest) -> tuple[Mapping[str, str], Manifest]:
    """Labels and specification of the pods of a workload."""
    if manifest["kind"] == "Pod":
        return manifest["metadata"].get("labels", {}), manifest["spec"]
    template = manifest["spec"]["template"]
    return template["metadata"]["labels"], template["spec"]


def problems(manifests: list[Manifest]) -> list[str]:
    """All that is wrong, one line each."""
    workloads = [each for each in manifests if each["kind"] in WORKLOADS]
    lines = [line for each in workloads for line in _pod_problems(*pod_of(each))]
    for each in workloads:
        if each["kind"] == "Deployment":
            lines += _deployment_problems(each, manifests)
    return lines


def restricted(spec: Manifest) -> Iterator[str]:
    """What the Pod Security Standard `restricted` refuses in a pod."""
    of_pod = spec.get("securityContext", {})
    yield from (f"{key} is set" for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key))
    yield from (f"volume {each['name']} is of the host" for each in spec.get("volumes", []) if "hostPath" in each)
    for container in [*spec.get("initContainers", []), *spec["containers"]]:
        own, name = container.get("securityContext", {}), container["name"]
        if not own.get("runAsNonRoot", of_pod.get("runAsNonRoot")):
            yield f"{name} may run as root"
        if own.get("runAsUser", of_pod.get("runAsUser")) in (None, 0):
            yield f"{name} has no numeric user other than 0"
        if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
            yield f"{name} may get more rights"
        if own.get("capabilities", {}).get("drop") != ["ALL"] or own["capabilities"].get("add"):
            yield f"{name} keeps capabilities"
        if (own.get("seccompProfile") or of_pod.get("seccompProfile", {})).get("type") != "RuntimeDefault":
            yield f"{name} has no seccomp profile"


def pinned(image: str) -> bool:
    """Whether an image is named by a tag other than `latest`, or by a digest."""
    if "@sha256:" in image:
        return True
    tag = image.rpartition("/")[2].partition(":")[2]
    return bool(tag) and tag != "latest"


def _pod_problems(labels: Mapping[str, str], spec: Manifest) -> Iterator[str]:
    yield from restricted(spec)
    if spec.get("automountServiceAccountToken") is not False:
        yield "a token of the cluster is mounted"
    volumes = {each["name"] for each in spec.get("volumes", [])}
    mounted: set[str] = set()
    for container in spec["containers"]:
        name, resources = container["name"], container.get("resources", {})
        if not pinned(container["image"]):
            yield f"{name}: image {container['image']} names no version"
        if not {"cpu", "memory"} <= resources.get("requests", {}).keys() or "memory" not in resources.get("limits", {}):
            yield f"{name} has no requests or no limit of memory"
        if not container.get("securityContext", {}).get("readOnlyRootFilesystem"):
            yield f"{name} may write to its image"
        mounted |= {each["name"] for each in container.get("volumeMounts", [])}
    if mounted != volumes:
        yield f"volumes {sorted(volumes)} are not those that are mounted: {sorted(mounted)}"


def _deployment_problems(deployment: Manifest, manifests: list[Manifest]) -> Iterator[str]:
    spec = deployment["spec"]
    labels, pod = pod_of(deployment)
    by_kind: dict[str, list[Manifest]] = {}
    for each in manifests:
        by_kind.setdefault(each["kind"], []).append(each)
    selectors = {
        "Deployment": [spec["selector"]["matchLabels"]],
        "PodDisruptionBudget": [
            each["spec"]["selector"]["matchLabels"] for each in by_kind.get("PodDisruptionBudget", [])
        ],
        "Service": [each["spec"]["selector"] for each in by_kind.get("Service", [])],
        "NetworkPolicy": [each["spec"]["podSelector"]["matchLabels"] for each in by_kind.get("NetworkPolicy", [])],
        "spread": [each["labelSelector"]["matchLabels"] for each in pod.get("topologySpreadConstraints", [])],
    }
    for kind, chosen in selectors.items():
        yield from (
            f"{kind} selects other pods: {each}" for each in chosen if not each or not each.items() <= labels.items()
        )
    for kind in ("PodDisruptionBudget", "Service"):
        if not selectors[kind]:
            yield f"no {kind}"
    yield from _port_problems(pod, by_kind)
    yield from _scaling_problems(deployment, by_kind)
    yield from _stop_problems(pod)


def _port_problems(pod: Manifest, by_kind: Mapping[str, list[Manifest]]) -> Iterator[str]:
    names = {port["name"] for each in pod["containers"] for port in each.get("ports", [])}
    asked = {port["targetPort"] for each in by_kind.get("Service", []) for port in each["spec"]["ports"]}
    for policy in by_kind.get("NetworkPolicy", []):
        asked |= {port["port"] for rule in policy["spec"].get("ingress", []) for port in rule["ports"]}
    if asked != names:
        yield f"ports {sorted(names)} of the pods are not those that services and policies name: {sorted(asked)}"
    for container in pod["containers"]:
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            if container.get(probe, {}).get("httpGet", {}).get("port") not in names:
                yield f"{container['name']} has no {probe} on one of its ports"


def _scaling_problems(deployment: Manifest, by_kind: Mapping[str, list[Manifest]]) -> Iterator[str]:
    scalers = by_kind.get("HorizontalPodAutoscaler", [])
    if bool(scalers) == ("replicas" in deployment["spec"]):
        yield "replicas are said by the deployment and by the autoscaler, or by neither"
    for scaler in scalers:
        if scaler["spec"]["scaleTargetRef"]["name"] != deployment["metadata"]["name"]:
            yield "the autoscaler is for another deployment"
    least = min([each["spec"]["minReplicas"] for each in scalers], default=deployment["spec"].get("replicas", 1))
    for budget in by_kind.get("PodDisruptionBudget", []):
        away = budget["spec"].get("maxUnavailable", 0)
        if away == 0 or (isinstance(away, int) and away >= least > 1):
            yield f"a drain may take {away} of {least} replicas"


def _stop_problems(pod: Manifest) -> Iterator[str]:
    for container in pod["containers"]:
        pause = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        if pod.get("terminationGracePeriodSeconds", 30) < pause + MARGIN_S:
            yield f"{container['name']} is killed before its pause is over"
