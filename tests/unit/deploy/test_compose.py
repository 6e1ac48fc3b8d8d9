"""The stack of the compose file against itself and the repository: every name that it uses is somewhere."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import lockstep
from lockstep.serving.security.exposure import check_exposure
from lockstep.specs.serving_spec import load_serving
from tests.unit.deploy.dockerfile import ROOT, read
from tests.unit.deploy.test_images import TARGETS

DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
# Made by whoever starts the stack.
MADE = {"gateway/nginx/nginx.conf"}
ONCE = {"buckets", "airflow-migrate"}
# Start as root to own their volume, then leave that; or write beside their volumes.
OF_OTHERS = {"postgres", "seaweedfs", "buckets", "grafana"}
each_service = pytest.mark.parametrize("name", SERVICES)


@each_service
def test_images_are_ours_or_named_by_version(name: str) -> None:
    service = SERVICES[name]
    repository, _, tag = service["image"].partition(":")
    assert re.fullmatch(r"v?\d[\w.-]*", tag)
    if "build" not in service:
        assert repository.startswith("docker.io/")
        return
    assert tag == lockstep.__version__
    file, target = TARGETS[repository]
    assert service["build"]["dockerfile"] == f"deploy/images/{file}.Dockerfile"
    assert service["build"].get("target", [*read(ROOT / service["build"]["dockerfile"]).stages][-1]) == target
    assert (DEPLOY / service["build"]["context"]).resolve() == ROOT


@each_service
def test_nobody_gets_more_rights_than_needed(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service.get("read_only", False) or name in OF_OTHERS
    assert not {"privileged", "network_mode", "pid", "devices"} & service.keys()
    for port in service.get("ports", ()):
        assert port.startswith("127.0.0.1:")


@each_service
def test_what_is_mounted_is_there(name: str) -> None:
    for mount in SERVICES[name].get("volumes", ()):
        if isinstance(mount, str):
            assert mount.partition(":")[0] in COMPOSE["volumes"]
            continue
        source = mount["source"].removeprefix("./")
        assert mount["read_only"]
        assert source in MADE or (DEPLOY / source).exists(), source


@each_service
def test_health_is_asked_for_and_waited_for(name: str) -> None:
    service = SERVICES[name]
    image = read(ROOT / service["build"]["dockerfile"]) if "build" in service else None
    own = image.last(TARGETS[service["image"].partition(":")[0]][1], "HEALTHCHECK") if image else None
    assert name in ONCE or "healthcheck" in service or (own is not None and own.rest != "NONE")
    for other, condition in service.get("depends_on", {}).items():
        expected = "service_completed_successfully" if other in ONCE else "service_healthy"
        assert condition == {"condition": expected}
        assert other in SERVICES


@each_service
def test_secrets_come_from_files(name: str) -> None:
    service = SERVICES[name]
    secrets = service.get("secrets", [])
    assert {*secrets} <= COMPOSE["secrets"].keys()
    texts = yaml.safe_dump({key: service[key] for key in ("environment", "command", "entrypoint") if key in service})
    assert {*re.findall(r"/run/secrets/(\w+)", texts)} <= {*secrets}
    for variable, value in service.get("environment", {}).items():
        if re.search("PASSWORD|SECRET|FERNET|CONN_CMD|KEY", variable):
            assert "/run/secrets/" in str(value) or str(value).endswith("passwords.json"), variable
        assert not re.search(r"://[^/@\s]+:[^/@\s]+@", str(value))


def test_every_secret_is_used_and_none_is_in_git() -> None:
    used = {secret for service in SERVICES.values() for secret in service.get("secrets", ())}
    # PostgreSQL's first start reads those of its users by the script.
    assert used == COMPOSE["secrets"].keys()
    assert all(each["file"].startswith("./secrets/") for each in COMPOSE["secrets"].values())
    assert "/deploy/secrets/" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


def test_names_of_other_services_are_right() -> None:
    hosts = set(re.findall(r"(?:://|@)([a-z][a-z0-9-]*):\d+", (DEPLOY / "compose.yaml").read_text("utf-8")))
    assert hosts - {"localhost"} <= SERVICES.keys()
    prometheus = yaml.safe_load((DEPLOY / "monitoring" / "prometheus.yaml").read_text(encoding="utf-8"))
    listed = [
        target for job in prometheus["scrape_configs"] for each in job["static_configs"] for target in each["targets"]
    ]
    assert {target.partition(":")[0] for target in listed} - {"127.0.0.1"} <= SERVICES.keys()
    assert {target for target in listed if target.startswith("endpoint-")} == {
        f"{name}:8080" for name in SERVICES if name.startswith("endpoint-")
    }


def test_replicas_have_a_configuration_that_they_accept_and_time_to_stop() -> None:
    serving = load_serving(DEPLOY / "serving.yaml")
    check_exposure(serving.host, serving.security)
    replicas = [service for name, service in SERVICES.items() if name.startswith("endpoint-")]
    assert len(replicas) == 3
    for service in replicas:
        assert int(service["stop_grace_period"].removesuffix("s")) > serving.limits.grace_s
        (mount,) = (each for each in service["volumes"] if isinstance(each, dict))
        entry = read(ROOT / service["build"]["dockerfile"]).last("cpu", "CMD")
        assert entry is not None
        assert entry.words[-1] == mount["target"]
        assert (DEPLOY / mount["source"]).resolve() == DEPLOY / "serving.yaml"


def test_files_of_variables_are_those_of_the_page_on_deployment() -> None:
    for service in SERVICES.values():
        for file in service.get("env_file", ()):
            assert (DEPLOY / Path(file)).is_file()
