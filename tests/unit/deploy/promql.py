"""What an expression of Prometheus's language gives: its labels, or why it cannot be meant so."""

from promql_parser import (
    AggModifier,
    AggModifierType,
    AggregateExpr,
    BinaryExpr,
    Call,
    Expr,
    LabelModifier,
    LabelModifierType,
    MatrixSelector,
    NumberLiteral,
    ParenExpr,
    VectorSelector,
    parse,
)

from lockstep.serving.metrics import FAMILIES
from tests.unit.deploy.emitted import exported

Labels = frozenset[str]

# Prometheus adds these when it asks an endpoint.
SCRAPED = frozenset({"job", "instance"})
# Of Prometheus itself, and of `process_*` those that are used.
OTHERS = {"up": "gauge", "process_cpu_seconds_total": "counter", "process_resident_memory_bytes": "gauge"}
GROWING = ("rate", "increase")


class Wrong(Exception):
    """An expression that gives nothing, or not what it is for."""


def samples() -> dict[str, tuple[str, Labels]]:
    """Every name that Prometheus stores, whether it only grows (`counter`) or not, and its labels."""
    found = {name: (kind, SCRAPED) for name, kind in OTHERS.items()}
    found |= {name: (kind, labels | SCRAPED) for name, (kind, labels) in exported().items()}
    for name, family in FAMILIES.items():
        labels = frozenset(family.labels) | SCRAPED
        if family.kind == "histogram":
            found |= {f"{name}_{part}": ("counter", labels) for part in ("sum", "count")}
            found[f"{name}_bucket"] = ("counter", labels | {"le"})
        else:
            found[f"{name}_total" if family.kind == "counter" else name] = (
                "counter" if family.kind == "counter" else "gauge",
                labels,
            )
    return found


SAMPLES = samples()


def record(name: str, expression: str) -> None:
    """Take in what a recording rule stores."""
    SAMPLES[name] = ("gauge", labels_of(expression))


def labels_of(text: str) -> Labels:
    """The labels of what an expression gives.

    Raises:
        Wrong: It asks for a metric or a label that is not there, or for the rate of what does not grow.
        ValueError: It is no expression.
    """
    return _labels(parse(text))


def metrics_in(text: str) -> set[str]:
    """The names that an expression asks for."""
    return {name for name in SAMPLES if name in text.replace("(", " ").replace("{", " ").split()}


def _labels(node: Expr) -> Labels:
    if isinstance(node, ParenExpr):
        return _labels(node.expr)
    if isinstance(node, MatrixSelector | VectorSelector):
        return _selected(node.vector_selector if isinstance(node, MatrixSelector) else node)
    if isinstance(node, Call):
        return _called(node)
    if isinstance(node, AggregateExpr):
        return _grouped(_labels(node.expr), node.modifier)
    assert isinstance(node, BinaryExpr), f"{type(node).__name__} is not expected here"
    return _combined(node)


def _selected(selector: VectorSelector) -> Labels:
    name = selector.name or ""
    if name not in SAMPLES:
        raise Wrong(f"there is no metric {name!r}")
    labels = SAMPLES[name][1]
    _require({matcher.name for matcher in selector.matchers.matchers}, labels, f"a matcher of {name}")
    return labels


def _called(call: Call) -> Labels:
    (vector,) = (each for each in call.args if not isinstance(each, NumberLiteral))
    labels = _labels(vector)
    if call.func.name in GROWING:
        assert isinstance(vector, MatrixSelector)
        name = vector.vector_selector.name or ""
        if SAMPLES[name][0] != "counter":
            raise Wrong(f"{name} does not only grow, so it has no {call.func.name}")
    if call.func.name == "histogram_quantile":
        _require({"le"}, labels, "histogram_quantile")
        return labels - {"le"}
    return labels


def _combined(node: BinaryExpr) -> Labels:
    if _is_number(node.rhs):
        return _labels(node.lhs)
    if _is_number(node.lhs):
        return _labels(node.rhs)
    left, right = _labels(node.lhs), _labels(node.rhs)
    matching = node.modifier.matching if node.modifier is not None else None
    joined = left & right if matching is None else _grouped(left, matching)
    _require(joined, right, "the right side")
    if matching is None and left != right:
        raise Wrong(f"the sides have other labels: {sorted(left ^ right)}")
    return left


def _is_number(node: Expr) -> bool:
    if isinstance(node, BinaryExpr):
        return _is_number(node.lhs) and _is_number(node.rhs)
    return isinstance(node, NumberLiteral) or (isinstance(node, Call) and node.func.name == "time")


def _grouped(labels: Labels, modifier: AggModifier | LabelModifier | None) -> Labels:
    if modifier is None:
        return frozenset()
    named = frozenset(modifier.labels)
    _require(named, labels, "a list of labels")
    # Neither kind can be hashed.
    chosen = any(modifier.type == kind for kind in (AggModifierType.By, LabelModifierType.Include))
    return named if chosen else labels - named


def _require(wanted: set[str] | Labels, there: Labels, where: str) -> None:
    if not wanted <= there:
        raise Wrong(f"{where}: no label {sorted(wanted - there)}, there are {sorted(there)}")
