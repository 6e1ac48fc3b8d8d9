"""Which outcomes of an overload keep the promise, and what counts as a refusal."""

from dataclasses import replace

import pytest

from benchmarks.promises.overload import Promise, Round, goodput, percentile_ms
from benchmarks.promises.sender import Seen
from benchmarks.promises.sorting import RETRY_AFTER, SameAnswer

PROMISE = Promise(slo_ms=250.0, prompt_ms=100.0)
KEPT = Round(
    peak=100.0,
    goodput=95.0,
    offered=300.0,
    accepted_ms=(50.0, 200.0),
    refused_ms=(1.0, 10.0),
    refused=0.66,
    failures={},
    late_ms=1.0,
)


def test_a_kept_promise_has_nothing_to_say() -> None:
    assert PROMISE.broken([KEPT]) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"goodput": 89.0}, "goodput is 89% of the peak"),
        ({"accepted_ms": (50.0, 251.0)}, "accepted requests is 251 ms"),
        ({"refused_ms": (1.0, 101.0)}, "refusals is 101 ms"),
        ({"failures": {"status 500": 1}}, "status 500"),
        ({"offered": 250.0}, "the senders are too slow"),
        ({"late_ms": 26.0}, "the senders are too slow"),
        ({"goodput": 120.0}, "the peak was not found"),
        ({"refused": 0.0}, "it was no overload"),
        ({"peak": 0.0}, "goodput is 0%"),
    ],
)
def test_each_way_to_break_it_is_told(changed: dict[str, object], said: str) -> None:
    assert any(said in each for each in PROMISE.broken([replace(KEPT, **changed)]))  # type: ignore[arg-type]


def test_the_median_round_counts_but_a_failure_in_any() -> None:
    slow = replace(KEPT, goodput=10.0)
    assert PROMISE.broken([KEPT, slow, KEPT]) == []
    assert PROMISE.broken([KEPT, replace(KEPT, failures={"no answer": 1}), KEPT]) != []


def test_only_answers_within_the_slo_are_good() -> None:
    seen = Seen(seconds=2.0, answered_s=[0.1, 0.25, 0.2501, 3.0])
    assert goodput(seen, slo_ms=250.0) == 1.0
    seen.add(Seen(seconds=2.0, answered_s=[0.1, 0.1], refused_s={"503": [0.01]}, failures={"status 500": 1}))
    assert goodput(seen, slo_ms=250.0) == 2.0
    assert (seen.refused_s, seen.failures) == ({"503": [0.01]}, {"status 500": 1})


def test_percentiles_of_none_and_of_some() -> None:
    assert percentile_ms([], 0.99) == 0.0
    assert percentile_ms([0.003, 0.001, 0.002], 0.5) == 2.0
    assert percentile_ms([0.003, 0.001, 0.002], 0.99) == 3.0


def test_a_refusal_says_when_to_come_back_and_an_answer_stays_the_same() -> None:
    assert RETRY_AFTER.search(b"HTTP/1.1 503 x\r\nRetry-After: 1\r\n")
    assert not RETRY_AFTER.search(b"HTTP/1.1 503 x\r\nretry-after: soon\r\n")
    same = SameAnswer(2)
    assert same.is_same(0, b"a")
    assert same.is_same(1, b"b")
    assert same.is_same(0, b"a")
    assert not same.is_same(1, b"a")
