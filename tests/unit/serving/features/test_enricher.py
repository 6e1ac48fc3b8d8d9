import asyncio
import datetime as dt
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.run.plan import Column
from lockstep.scoring.signature import Signature
from lockstep.serving.features.bindings import asked_signature
from lockstep.serving.features.enricher import Enricher
from lockstep.serving.features.enrichment import BoundSource
from lockstep.serving.features.errors import FeatureSourceInvalid, FeaturesRefused
from lockstep.serving.features.memory_source import MemorySource
from lockstep.serving.rows import PlainRows, Rows, to_batch
from lockstep.serving.trace import NEVER
from lockstep.specs.features_spec import FeatureBinding

INPUTS = (("city", "string"), ("age", "double"), ("visits", "long"))
WANTED = Signature(
    tuple(Column(name=name, dtype=dtype) for name, dtype in INPUTS), (Column(name="risk", dtype="double"),)
)
BINDING = FeatureBinding.model_validate({
    "name": "people",
    "redis": {"location": "redis://localhost", "key": "p:{person}", "kinds": {"age": "double", "visits": "long"}},
    "keys": {"person": {"column": "person", "dtype": "long"}},
    "inputs": {
        "age": {"feature": "age", "missing": "null"},
        "visits": {"feature": "visits", "missing": "default", "default": 0},
    },
})  # fmt: skip
ASKED = asked_signature(WANTED, [BINDING], title="churn version 1")
AGES = {1: (31.5, 7), 2: (None, 3), 3: (64, 2**40)}


def enricher(told: list[Any] | None = None, **changes: Any) -> Enricher:
    source = MemorySource("people", ("person",), ("age", "visits"))
    for person, (age, visits) in AGES.items():
        values = {"age": age, "visits": visits} if age is not None else {"visits": visits}
        source.put((person,), {**values, **changes}, event_time=dt.datetime.now(dt.UTC))
    bound = [BoundSource(source, {"person": "person"}, BINDING.inputs)]
    tell = None if told is None else lambda *facts: told.append(facts)
    return Enricher(bound, asked=ASKED, wanted=WANTED, slo_s=5.0, tell=tell)


def filled(rows: Rows, **facts: Any) -> Rows:
    return asyncio.run(enricher(**facts).fill(rows, expires=NEVER))


def plain(people: list[int | None], cities: list[str | None]) -> PlainRows:
    return PlainRows((cities, people), len(people), 32 * len(people))


def test_requests_bring_what_is_not_filled_in_and_the_key() -> None:
    assert [(column.name, column.dtype) for column in ASKED.inputs] == [("city", "string"), ("person", "long")]
    assert ASKED.outputs == WANTED.outputs


@given(st.lists(st.tuples(st.sampled_from([1, 2, 3, 4, None]), st.sampled_from(["Ulm", "Rom", None]))))
def test_plain_rows_and_batches_become_the_same_rows(given_rows: list[tuple[int | None, str | None]]) -> None:
    rows = plain([person for person, _ in given_rows], [city for _, city in given_rows])
    found = to_batch([filled(rows)], WANTED)
    assert found.equals(to_batch([filled(to_batch([rows], ASKED))], WANTED))
    known = {person: AGES.get(person, (None, 0)) if person is not None else (None, 0) for person, _ in given_rows}
    assert found.to_pylist() == [
        {"city": city, "age": known[person][0], "visits": known[person][1]} for person, city in given_rows
    ]


def test_it_tells_what_was_used() -> None:
    told: list[Any] = []
    filled(plain([1, 4, 4], ["Ulm"] * 3), told=told)
    assert sorted(told) == [
        ("age", "fresh", "source", 1),
        ("age", "missing", "null", 2),
        ("visits", "fresh", "source", 1),
        ("visits", "missing", "default", 2),
    ]


def test_a_value_that_the_model_does_not_take_is_the_sources_fault() -> None:
    with pytest.raises(
        FeatureSourceInvalid, match=r"feature source people: .*'visits', row 0: expected a 64-bit"
    ) as caught:
        filled(plain([1], ["Ulm"]), visits="secret")
    assert "secret" not in str(caught.value)


def test_a_feature_that_may_not_lack_is_refused_by_row() -> None:
    source = MemorySource("people", ("person",), ("age", "visits"))
    strict = {name: policy.model_copy(update={"missing": "reject"}) for name, policy in BINDING.inputs.items()}
    strict["visits"] = strict["visits"].model_copy(update={"default": None})
    bound = [BoundSource(source, {"person": "person"}, strict)]
    made = Enricher(bound, asked=ASKED, wanted=WANTED, slo_s=5.0)
    with pytest.raises(FeaturesRefused, match="row 0: feature 'age' is missing, feature 'visits' is missing"):
        asyncio.run(made.fill(plain([1], ["Ulm"]), expires=NEVER))


def test_no_rows_are_no_rows() -> None:
    assert filled(plain([], [])).num_rows == 0
    assert isinstance(filled(to_batch([plain([], [])], ASKED)), pa.RecordBatch)
