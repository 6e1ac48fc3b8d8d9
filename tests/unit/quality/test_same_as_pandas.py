"""What Great Expectations decides on measured figures is what it decides on the same rows in pandas."""

import datetime as dt
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from lockstep.quality.catalogue import EXPECTATIONS
from lockstep.quality.expectations import Decision, _decide
from lockstep.quality.measuring import measuring
from lockstep.quality.rows import staged_rows
from lockstep.quality.suites import Check, Suite
from tests.unit.quality.gx_on_pandas import Outcome, decide_on_pandas, outcome

pytestmark = pytest.mark.slow

DAYS = [dt.datetime.fromisoformat(text) for text in ("2024-03-01", "2024-03-02T12:30", "2024-03-03")]
# Few values, so that repeats, ties and bounds that are met are common.
NUMBERS = st.sampled_from([None, 0.0, -0.0, 1.0, 1.5, 2.0, -3.25, 100.0, math.nan])
WIDE = st.one_of(NUMBERS, st.sampled_from([math.inf, -math.inf, 1e300, 0.1]))
COLUMNS: dict[str, tuple[st.SearchStrategy[Any], pa.DataType]] = {
    "x": (NUMBERS, pa.float64()),
    "wide": (WIDE, pa.float64()),
    "f": (st.sampled_from([None, 0.1, 0.2, 1.0, 2.0, 2.5]), pa.float32()),
    "n": (st.sampled_from([None, 0, 1, 2, 3, -7]), pa.int64()),
    "whole": (st.sampled_from([0, 1, 2, 3, -7]), pa.int32()),
    "flag": (st.sampled_from([None, True, False]), pa.bool_()),
    "yes": (st.sampled_from([True, False]), pa.bool_()),
    "text": (st.sampled_from([None, "", "a", "ab", "b1", "a\n", "é", "\U0001f926", "1.0"]), pa.string()),
    "word": (st.sampled_from([None, "a", "ab", "b1", "zz"]), pa.dictionary(pa.int32(), pa.string())),
    "day": (st.sampled_from([None, *(day.date() for day in DAYS)]), pa.date32()),
    "at": (st.sampled_from([None, *(day.replace(tzinfo=dt.UTC) for day in DAYS)]), pa.timestamp("us", "UTC")),
    "nothing": (st.none(), pa.float64()),
    "no_text": (st.none(), pa.string()),
    "v": (st.lists(st.sampled_from([0.0, 3.0, 4.0, math.nan]), min_size=2, max_size=2), pa.list_(pa.float32(), 2)),
}
BOUNDS: list[dict[str, Any]] = [
    {"min_value": 0},
    {"max_value": 1.0, "strict_max": True},
    {"max_value": 2, "strict_max": True},
    {"min_value": 0.1, "max_value": 2.5},
    {"min_value": 0.0, "max_value": 2, "strict_min": True, "strict_max": True},
    {"min_value": dt.date(2024, 3, 2)},
    {"min_value": DAYS[0], "max_value": DAYS[1], "strict_max": True},
]
SETS = [[1, 2], [0.1, 1.5], ["a", "b1"], [True], [dt.date(2024, 3, 1)], ["2024-03-01"], [1, "a", True]]
REGEXES = ["^a", "a$", r"^[a-z]\d?$", "^(a|ab|)$", r"1\.0", "[^a]", r"\w", "(?i)A", "^.$"]
FREE = {"mostly", "strict_min", "strict_max", "double_sided", "or_equal"}


def _is_valid(kind: TypeAdapter[Any], value: Any) -> bool:
    try:
        kind.validate_python(value)
    except ValidationError:
        return False
    return True


def variants(name: str) -> list[dict[str, Any]]:
    """The keywords to try."""
    rule = EXPECTATIONS[name]
    if rule.bounded:
        fits = TypeAdapter(rule.bounds)
        made = [kwargs for kwargs in BOUNDS if all(_is_valid(fits, kwargs[k]) for k in kwargs if k.endswith("_value"))]
    elif "value_set" in rule.required:
        made = [{"value_set": members} for members in SETS]
    elif "regex" in rule.required:
        made = [{"regex": regex} for regex in REGEXES]
    elif "threshold" in rule.required:
        made = [{"threshold": 1.0, "double_sided": True}, {"threshold": 0.5, "double_sided": False}]
    elif "sum_total" in rule.required:
        made = [{"sum_total": 3}]
    elif "value" in rule.required:
        made = [{"value": 1}, {"value": 3}]
    elif "or_equal" in rule.optional:
        made = [{}, {"or_equal": True}]
    else:
        made = [{}]
    return [*made, *([{**made[0], "mostly": 0.5}] if "mostly" in rule.optional else [])]


def checks_of(names: list[str], columns: list[str]) -> list[dict[str, Any]]:
    """Each expectation with each of its keywords on one target."""
    made = []
    for name in names:
        target = EXPECTATIONS[name].target
        where: dict[str, Any] = {}
        if target == "column":
            where = {"column": columns[0]}
        elif target == "pair":
            where = {"columns": columns[:2]}
        elif target == "columns":
            where = {"columns": columns}
        made += [{"expectation": name, "kwargs": kwargs, "why": "w", **where} for kwargs in variants(name)]
    return made


def decide(suite: Suite, file: Path) -> list[Outcome]:
    decision = Decision(suite)
    with measuring(staged_rows([file], where="x"), names=suite.needs) as measurement:
        answers = measurement.answer(decision.questions(measurement.columns))
    return [outcome(_decide(*pair, answers)) for pair in zip(decision._built, decision._metrics, strict=True)]


def same(ours: Outcome, theirs: Outcome) -> bool:
    """Whether the verdicts agree, and the figures where both have some."""
    if ours.success != theirs.success:
        return False
    if ours.error or theirs.error:
        return True
    if (ours.element_count, ours.unexpected_count) != (theirs.element_count, theirs.unexpected_count):
        return False
    if isinstance(ours.observed, dt.datetime) and isinstance(theirs.observed, dt.datetime):
        return abs(ours.observed - theirs.observed) < dt.timedelta(microseconds=2)
    return ours.observed == theirs.observed or ours.observed == pytest.approx(theirs.observed, rel=1e-6)


def is_vague(check: Check, table: pa.Table, ours: Outcome, theirs: Outcome) -> bool:
    """Whether pandas fails for a reason that is not the rows'.

    A check that does not fit the type of a column without a value fails for some types only, booleans with nulls
    cannot be ordered while booleans can, and some texts beside a bound that is a day are read as days ('1.0').
    """
    stored = [table.column(name.partition(".")[0]) for name in check.needs]
    empty = any(column.null_count == table.num_rows for column in stored)
    ordered_flags = "greater_than" in check.expectation and any(
        column.null_count and pa.types.is_boolean(column.type) for column in stored
    )
    dated = any(isinstance(value, dt.date) for value in check.kwargs.values())
    text_as_day = dated and any(pa.types.is_string(c.type) or pa.types.is_dictionary(c.type) for c in stored)
    return ours.error != theirs.error and (empty or ordered_flags or text_as_day)


THEIRS = {name: rule for name, rule in EXPECTATIONS.items() if rule.against is None}
SINGLE = [name for name, rule in THEIRS.items() if rule.target in {"table", "column"}]
SEVERAL = [name for name, rule in THEIRS.items() if rule.target in {"pair", "columns"}]
TARGETS = [*(name for name in COLUMNS if name != "v"), "v.norm", "v.min"]


@settings(
    max_examples=12, phases=[Phase.explicit, Phase.generate], deadline=None, suppress_health_check=list(HealthCheck)
)
@given(data=st.data())
def test_every_expectation_decides_alike(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    rows = data.draw(st.sampled_from([0, 1, 2, 3, 6, 12]))
    first, second, third = (data.draw(st.sampled_from(TARGETS)) for _ in range(3))
    others = list(dict.fromkeys([first, second, third]))
    checks = checks_of(SINGLE, [first]) + (checks_of(SEVERAL, others) if len(others) > 1 else [])
    stored = {name.partition(".")[0] for name in others}
    table = pa.table(
        {
            name: pa.array(data.draw(st.lists(values, min_size=rows, max_size=rows)), kind)
            for name, (values, kind) in COLUMNS.items()
            if name in stored
        }
    )
    file = tmp_path_factory.mktemp("rows") / "0.parquet"
    pq.write_table(table, file)
    suite = Suite.model_validate({"expectations": checks})
    ours, theirs = decide(suite, file), decide_on_pandas(suite, table)
    different = [
        (check.expectation, check.needs, check.kwargs, mine, other)
        for check, mine, other in zip(suite.checks, ours, theirs, strict=True)
        if not same(mine, other) and not is_vague(check, table, mine, other)
    ]
    assert not different
