"""Rules and dashboards against the metrics that there are: a name that is not there would never alert."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from lockstep.serving.metrics import FAMILIES, REQUEST_BUCKETS_S
from tests.unit.deploy.emitted import MAPPING, MONITORING, PREFIX, ROOT, emitted, exported
from tests.unit.deploy.promql import Wrong, labels_of, metrics_in, record


def rules_of(path: Path) -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]


RULE_FILES = sorted(MONITORING.glob("*-rules.yaml"))
RULES = [rule for path in RULE_FILES for rule in rules_of(path)]
ALERTS = [rule for rule in RULES if "alert" in rule]
RECORDS = [rule for rule in RULES if "record" in rule]
for each_record in RECORDS:
    record(each_record["record"], each_record["expr"])
BOARDS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(MONITORING.glob("grafana-*.json"))
}
PANELS = {name: [panel for panel in board["panels"] if panel["type"] != "row"] for name, board in BOARDS.items()}
TARGETS = [
    (name, panel["title"], target) for name, panels in PANELS.items() for panel in panels for target in panel["targets"]
]
PAGE = (ROOT / "docs" / "observability.md").read_text(encoding="utf-8")
each_board = pytest.mark.parametrize("name", BOARDS)


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


def test_what_is_recorded_is_used() -> None:
    asked = [rule["expr"] for rule in ALERTS] + [target["expr"] for _, _, target in TARGETS]
    used = {name for expression in asked for name in metrics_in(plain(expression))}
    assert {rule["record"] for rule in RECORDS} - used == set()


def test_burn_rates_are_of_the_window_in_their_name() -> None:
    for rule in RECORDS:
        (window,) = re.findall(r"rate(\d+[mhd])$", rule["record"])
        assert set(re.findall(r"\[(\w+)\]", rule["expr"])) == {window}
        for bound in re.findall(r'le="([\d.]+)"', rule["expr"]):
            assert float(bound) in REQUEST_BUCKETS_S


@pytest.mark.parametrize(("name", "title", "target"), TARGETS, ids=[f"{n}-{t}-{e['refId']}" for n, t, e in TARGETS])
def test_a_panel_asks_for_what_there_is(name: str, title: str, target: dict[str, Any]) -> None:
    labels = labels_of(plain(target["expr"]))
    assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= labels
    variables = {each["name"] for each in BOARDS[name]["templating"]["list"]}
    assert set(re.findall(r"\$(\w+)", target["expr"])) - {"__rate_interval"} <= variables


def test_the_boards_show_every_metric() -> None:
    shown = {name for _, _, target in TARGETS for name in metrics_in(plain(target["expr"]))}
    for family in (*FAMILIES, *exported()):
        assert any(name == family or name.startswith(f"{family}_") for name in shown), f"{family} is on no panel"


@each_board
def test_a_board_can_be_imported_anywhere(name: str) -> None:
    board = BOARDS[name]
    assert re.fullmatch(r"lockstep-\w+", board["uid"])
    assert len({each["uid"] for each in BOARDS.values()}) == len(BOARDS)
    source = {"type": "prometheus", "uid": "${datasource}"}
    queried = [each for each in board["templating"]["list"] if each["type"] == "query"]
    own = [each for each in board["annotations"]["list"] if "expr" in each]
    targets = [target for panel in PANELS[name] for target in panel["targets"]]
    for part in [*PANELS[name], *queried, *own, *targets]:
        assert part["datasource"] == source
    for variable in queried:
        (asked, label) = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"]).groups()  # type: ignore[union-attr]
        assert label in labels_of(asked)
    for annotation in own:
        assert labels_of(plain(annotation["expr"])) == {"model", "version"}
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)


@each_board
def test_panels_do_not_overlap(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in BOARDS[name]["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells


def test_every_metric_of_runs_is_mapped_once_and_no_other() -> None:
    sent = emitted()
    matched = [rule["match"].removeprefix(PREFIX) for rule in MAPPING["mappings"]]
    assert sorted(matched) == sorted(sent)
    for rule, name in zip(MAPPING["mappings"], matched, strict=True):
        assert rule["match_metric_type"] == sent[name][0]
        assert rule["name"].endswith("_total") == (sent[name][0] == "counter")


def test_every_metric_of_runs_is_on_the_page_with_its_name_in_prometheus() -> None:
    listed = dict(re.findall(r"^\| `lockstep\.([a-z.]+)` \| `(lockstep_batch_\w+)` \|", PAGE, re.MULTILINE))
    assert listed == {rule["match"].removeprefix(PREFIX): rule["name"] for rule in MAPPING["mappings"]}


def test_rule_files_are_those_that_prometheus_reads_and_tests_try() -> None:
    names = {path.name for path in RULE_FILES}
    for name in ("prometheus", "prometheus-kubernetes"):
        assert set(yaml.safe_load((MONITORING / f"{name}.yaml").read_text(encoding="utf-8"))["rule_files"]) == names
    tests = "".join(path.read_text(encoding="utf-8") for path in (MONITORING / "tests").glob("*.test.yaml"))
    for name in names:
        assert f"../{name}" in tests
    for rule in ALERTS:
        assert rule["alert"] in tests, f"no test of {rule['alert']}"


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
        "lockstep_batch_rows_scored",
        "time() - max by (stage) (lockstep_batch_live_newest_timestamp_seconds)",
        "lockstep:requests:rate5m and on (version) lockstep_slo_seconds",
    ],
)
def test_a_wrong_name_is_found(wrong: str) -> None:
    with pytest.raises(Wrong):
        labels_of(wrong)
