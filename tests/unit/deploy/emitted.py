"""Metrics of scoring runs: what the callbacks emit, read from their code, and what an exporter makes of them."""

import ast
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
MONITORING = ROOT / "deploy" / "monitoring"
SOURCE = ROOT / "lockstep" / "airflow" / "metrics.py"
MAPPING: dict[str, Any] = yaml.safe_load((MONITORING / "statsd-mapping.yaml").read_text(encoding="utf-8"))
# Method of the meter → what the exporter calls its kind.
KINDS = {"count": "counter", "gauge": "gauge", "time": "observer"}
ALWAYS = frozenset({"spec", "model"})
PREFIX = "airflow.lockstep."


def emitted() -> dict[str, tuple[str, frozenset[str]]]:
    """Name without prefix → kind and tags, of every metric that a callback sends."""
    found: dict[str, tuple[str, frozenset[str]]] = {}
    for node in ast.walk(ast.parse(SOURCE.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if isinstance(node.func.value, ast.Name) and node.func.value.id == "meter" and node.func.attr in KINDS:
            (name,) = (each.value for each in node.args[:1] if isinstance(each, ast.Constant))
            tags = frozenset(each.arg for each in node.keywords if each.arg and each.arg != "seconds")
            entry = (KINDS[node.func.attr], ALWAYS | tags)
            assert found.setdefault(str(name), entry) == entry
    return found


def exported() -> dict[str, tuple[str, frozenset[str]]]:
    """Name of a sample in Prometheus → whether it only grows (`counter`) or not (`gauge`), and its labels."""
    found: dict[str, tuple[str, frozenset[str]]] = {}
    sent = emitted()
    for rule in MAPPING["mappings"]:
        kind, labels = sent[rule["match"].removeprefix(PREFIX)]
        if kind == "observer":
            found |= {f"{rule['name']}_{part}": ("counter", labels) for part in ("sum", "count")}
            found[f"{rule['name']}_bucket"] = ("counter", labels | {"le"})
        else:
            found[rule["name"]] = (kind, labels)
    return found
