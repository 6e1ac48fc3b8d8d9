"""Alert rules and dashboard against the metrics that the endpoint has: a name that is not there would never alert."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from lockstep.serving.metrics import FAMILIES
from tests.unit.deploy.promql import Wrong, labels_of, metrics_in

ROOT = Path(__file__).parents[3]
MONITORING = ROOT / "deploy" / "monitoring"
RULES = yaml.safe_load((MONITORING / "prometheus-rules.yaml").read_text(encoding="utf-8"))
ALERTS: list[dict[str, Any]] = [rule for group in RULES["groups"] for rule in group["rules"]]
BOARD: dict[str, Any] = json.loads((MONITORING / "grafana-dashboard.json").read_text(encoding="utf-8"))
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
TARGETS = [(panel["title"], target) for panel in PANELS for target in panel["targets"]]
VARIABLES = {each["name"] for each in BOARD["templating"]["list"]}
PAGE = (ROOT / "docs" / "observability.md").read_text(encoding="utf-8")


def plain(expression: str) -> str:
    """An expression without Grafana's variables, of which only the one for durations stands outside of texts."""
    return expression.replace("$__rate_interval", "5m")


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_asks_for_what_there_is(alert: dict[str, Any]) -> None:
    labels = labels_of(alert["expr"])
    said = alert["annotations"]
    assert said.keys() == {"summary", "runbook"}
    used = set(re.findall(r"\$labels\.(\w+)", " ".join(said.values())))
    assert used <= labels
    assert alert["labels"]["severity"] in {"critical", "warning"}
    assert len(said["runbook"]) > 80


def test_every_alert_is_explained_and_no_other() -> None:
    named = [alert["alert"] for alert in ALERTS]
    assert len(set(named)) == len(named) > 8
    assert set(re.findall(r"`(Lockstep[A-Z]\w+)`", PAGE)) == set(named)


@pytest.mark.parametrize(("title", "target"), TARGETS, ids=[f"{title}-{t['refId']}" for title, t in TARGETS])
def test_a_panel_asks_for_what_there_is(title: str, target: dict[str, Any]) -> None:
    labels = labels_of(plain(target["expr"]))
    assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= labels
    assert set(re.findall(r"\$(\w+)", target["expr"])) - {"__rate_interval"} <= VARIABLES


def test_the_board_shows_every_metric() -> None:
    shown = {name for _, target in TARGETS for name in metrics_in(plain(target["expr"]))}
    for family in FAMILIES:
        assert any(name == family or name.startswith(f"{family}_") for name in shown), f"{family} is on no panel"


def test_the_board_can_be_imported_anywhere() -> None:
    assert BOARD["uid"] == "lockstep-endpoint"
    source = {"type": "prometheus", "uid": "${datasource}"}
    queried = [each for each in BOARD["templating"]["list"] if each["type"] == "query"]
    own = [each for each in BOARD["annotations"]["list"] if "expr" in each]
    for part in [*PANELS, *queried, *own, *(target for _, target in TARGETS)]:
        assert part["datasource"] == source
    for variable in queried:
        (asked, label) = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"]).groups()  # type: ignore[union-attr]
        assert label in labels_of(asked)
    for annotation in own:
        assert labels_of(plain(annotation["expr"])) == {"model", "version"}
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert len(set(ids)) == len(ids)


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize(
    "wrong",
    [
        "lockstep_requests > 0",
        "rate(lockstep_request_total[5m])",
        'lockstep_workers{model="x"}',
        "sum by (modell) (lockstep_model_info)",
        "rate(lockstep_workers[5m])",
        "histogram_quantile(0.9, sum by (model) (rate(lockstep_request_seconds_bucket[5m])))",
        "sum by (job) (lockstep_workers) / sum by (instance) (lockstep_workers)",
        "lockstep_requests_waiting > on (status) lockstep_slo_seconds",
    ],
)
def test_a_wrong_name_is_found(wrong: str) -> None:
    with pytest.raises(Wrong):
        labels_of(wrong)
