"""Starter checks hold for the rows that they come from, and are suites that the gate and the audit take."""

import datetime as dt
from pathlib import Path

import numpy as np
import pyarrow as pa
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lockstep.quality.suites import Suite
from lockstep.run.plan import Column, ModelIdentity
from lockstep.scaffold.drafting import Choices, draft
from lockstep.scaffold.sampling import Sample
from lockstep.scaffold.starter_checks import StarterCheck, audit_checks, gate_checks
from lockstep.scaffold.writing import flow, scalar, spec_name, write_folder
from lockstep.specs.fields import IDENTIFIER
from lockstep.specs.input_spec import Table
from lockstep.specs.loading import load_spec

DAY = dt.date(2024, 5, 3)
numbers = st.one_of(st.none(), st.floats(-1e9, 1e9), st.integers(-(2**40), 2**40))


def holds(check: StarterCheck, values: list[float | None]) -> bool:
    known = [value for value in values if value is not None]
    if check.expectation == "expect_column_values_to_not_be_null":
        return len(known) >= check.kwargs.get("mostly", 1) * len(values)
    if check.expectation == "expect_column_values_to_be_between":
        low, high = check.kwargs["min_value"], check.kwargs["max_value"]
        return sum(low <= value <= high for value in known) >= check.kwargs.get("mostly", 1) * len(known)
    if check.expectation == "expect_column_stdev_to_be_between":
        return bool(np.std(known) >= check.kwargs["min_value"])
    if check.expectation == "expect_column_mean_to_be_between":
        return bool(check.kwargs["min_value"] <= np.mean(known) <= check.kwargs["max_value"])
    raise AssertionError(check.expectation)


@given(st.lists(numbers, min_size=1, max_size=60))
def test_checks_of_the_input_hold_for_what_they_come_from(values: list[float | None]) -> None:
    column = pa.array([None if v is None else float(v) for v in values], pa.float64())
    for check in gate_checks(pa.table({"x": column}), ["x"]):
        assert holds(check, column.to_pylist()), check


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=60))
def test_checks_of_scores_hold_for_what_they_come_from(values: list[float]) -> None:
    scores = pa.chunked_array([pa.array(values, pa.float64())])
    for check in audit_checks("score", scores):
        if check.expectation != "expect_column_mean_to_be_between":  # of two equal scores there is no room
            assert holds(check, list(values)), check


def test_codes_are_listed_and_texts_are_not() -> None:
    many = pa.table({"code": ["DE", "FR"] * 50, "text": [f"text {n}" for n in range(100)]})
    listed = [check for check in gate_checks(many, ["code", "text"]) if "value_set" in check.kwargs]
    assert [(check.columns, check.kwargs["value_set"]) for check in listed] == [(("code",), ["DE", "FR"])]


@given(st.one_of(st.text(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False)))
def test_what_is_written_as_yaml_is_read_as_it_was(value: object) -> None:
    assert yaml.safe_load(f"key: {scalar(value)}")["key"] == value
    assert yaml.safe_load(f"key: {flow([value, {'inner': value}])}")["key"] == [value, {"inner": value}]


@given(st.text(min_size=1))
def test_any_model_gives_a_name_of_a_spec(text: str) -> None:
    assert IDENTIFIER.fullmatch(spec_name(text))


def test_a_drafted_folder_is_a_spec(tmp_path: Path) -> None:
    inputs = (Column(name="age", dtype="long"), Column(name="city", dtype="string"))
    outputs = (Column(name="risk", dtype="double"), Column(name="group", dtype="string"))
    model = ModelIdentity(
        name="Churn: new", version=3, digest="0" * 64, location="here", inputs=inputs, outputs=outputs
    )
    rows = pa.table({"age": [30, 40, 50], "city": ["Bern", "Oslo", None], "id": [1, 2, 3], "day": [DAY] * 3})
    scores = pa.table({"risk": [0.1, 0.5, 0.9], "group": ["a", "b", "a"]})
    chosen = Choices(
        name="churn",
        alias="champion",
        table=Table(format="delta", path="lake/customers: all"),
        table_label="lake/customers: all",
        day="day",
        first=DAY,
        key=("id",),
        sensitive=("city",),
        published="churn_scores",
    )
    texts = draft(chosen, model=model, sample=Sample(rows, DAY, 3), scores=scores, today=DAY)
    write_folder(tmp_path / "churn", texts)
    spec = load_spec(tmp_path / "churn").spec
    assert (spec.key, spec.output.columns, spec.sensitive) == (("day", "id"), ("risk", "group"), ("city",))
    assert spec.input.table == chosen.table
    for name in ("gate", "audit"):
        suite = Suite.model_validate(yaml.safe_load(texts[f"checks/{name}.yaml"]))
        assert all(check.why for check in suite.checks)
    assert "Oslo" not in "".join(texts.values())  # city is sensitive


def test_times_and_bytes_are_no_classes() -> None:
    for scores in (pa.array([0] * 50, pa.timestamp("us")), pa.array([b"a"] * 50)):
        names = [each.expectation for each in audit_checks("y", pa.chunked_array([scores]))]
        assert names == ["expect_column_values_to_not_be_null"]
