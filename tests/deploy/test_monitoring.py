"""Prometheus' and Alertmanager's own tools on their files: configuration, rules, and what the rules make of a load."""

import copy
import json
from pathlib import Path

import pytest
import yaml

from tests.deploy.programs import DEPLOY, found, linter, passes, run

MONITORING = DEPLOY / "monitoring"
TESTS = sorted((MONITORING / "tests").glob("*.test.yaml"))


def test_promtool_accepts_the_configuration() -> None:
    said = passes([found("promtool"), "check", "config", MONITORING / "prometheus.yaml"])
    assert said.count("rules found") == len(list(MONITORING.glob("*-rules.yaml")))


def test_promtool_accepts_the_configuration_for_kubernetes(tmp_path: Path) -> None:
    """Debian's build knows no discovery in Kubernetes: all but that section is checked by it."""
    config = yaml.safe_load((MONITORING / "prometheus-kubernetes.yaml").read_text(encoding="utf-8"))
    plain = copy.deepcopy(config)
    for job in plain["scrape_configs"]:
        (discovery,) = job.pop("kubernetes_sd_configs")
        assert discovery["role"] in {"pod", "service"}
        assert all(selector["role"] == discovery["role"] for selector in discovery["selectors"])
        job["static_configs"] = [{"targets": ["127.0.0.1:8080"]}]
    plain["rule_files"] = [str(MONITORING / name) for name in config["rule_files"]]
    (tmp_path / "prometheus.yaml").write_text(yaml.safe_dump(plain), encoding="utf-8")
    passes([found("promtool"), "check", "config", tmp_path / "prometheus.yaml"])


def test_kubernetes_is_asked_for_the_pods_of_the_chart() -> None:
    helm = found("helm")
    text = passes([helm, "template", "scores", DEPLOY / "helm" / "lockstep", "--namespace", "lockstep"])
    (pod,) = (each["spec"]["template"] for each in yaml.safe_load_all(text) if each and each["kind"] == "Deployment")
    config = yaml.safe_load((MONITORING / "prometheus-kubernetes.yaml").read_text(encoding="utf-8"))
    (discovery,) = config["scrape_configs"][0]["kubernetes_sd_configs"]
    wanted = dict(pair.split("=") for pair in discovery["selectors"][0]["label"].split(","))
    assert wanted.items() <= pod["metadata"]["labels"].items()
    asked = json.dumps(config["scrape_configs"][0]["relabel_configs"])
    for annotation in pod["metadata"]["annotations"]:
        if annotation.startswith("prometheus.io/") and annotation != "prometheus.io/port":
            assert f"__meta_kubernetes_pod_annotation_{annotation.replace('.', '_').replace('/', '_')}" in asked


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.name.partition(".")[0])
def test_rules_do_what_they_should(file: Path) -> None:
    passes([found("promtool"), "test", "rules", file])


def test_a_wrong_rule_would_be_found(tmp_path: Path) -> None:
    promtool = found("promtool")
    text = (MONITORING / "slo-rules.yaml").read_text(encoding="utf-8")
    (tmp_path / "slo-rules.yaml").write_text(text.replace("* 0.001", "* 0.1"), encoding="utf-8")
    for name in ("recording-rules.yaml", "tests/slo.test.yaml"):
        (tmp_path / Path(name).name).write_bytes((MONITORING / name).read_bytes())
    test = (tmp_path / "slo.test.yaml").read_text(encoding="utf-8").replace("../", "")
    (tmp_path / "slo.test.yaml").write_text(test, encoding="utf-8")
    done = run([promtool, "test", "rules", tmp_path / "slo.test.yaml"])
    assert done.returncode != 0
    assert "LockstepBudgetBurnsFast" in done.stdout + done.stderr


def test_amtool_accepts_the_example() -> None:
    passes([found("amtool"), "check-config", MONITORING / "alertmanager.yaml"])


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [("severity=critical alertname=LockstepDown", "page"), ("severity=warning alertname=LockstepDrift", "daytime")],
)
def test_who_is_told(labels: str, receiver: str) -> None:
    config = f"--config.file={MONITORING / 'alertmanager.yaml'}"
    assert passes([found("amtool"), "config", "routes", "test", config, *labels.split()]).strip() == receiver


def test_yamllint_finds_nothing() -> None:
    """Of all YAML below deploy/ but templates, which are no YAML until helm has rendered them."""
    assert len([*DEPLOY.rglob("*.yaml")]) > 20
    passes([linter("yamllint"), "--strict", "--config-file", DEPLOY / "yamllint.yaml", DEPLOY])


def test_yamllint_would_find_something(tmp_path: Path) -> None:
    (tmp_path / "twice.yaml").write_text("a: 1\na: 2\n", encoding="utf-8")
    done = run([linter("yamllint"), "--strict", "--config-file", DEPLOY / "yamllint.yaml", tmp_path])
    assert done.returncode != 0
    assert "duplication of key" in done.stdout
