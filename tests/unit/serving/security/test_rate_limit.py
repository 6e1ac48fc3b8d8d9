import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstep.serving.security.clients import Client, client_with
from lockstep.serving.security.errors import RateLimited, RowsOverBurst
from lockstep.serving.security.rate_limit import LOOKED_AT, TOLERANCE_S, Buckets, Pace, Quota, RateLimiter
from lockstep.specs.serving_security import RateLimit, Rights

NIGHTLY = client_with("nightly", "api_key", [Rights(models=("*",))])
PORTAL = client_with("portal", "api_key", [Rights(models=("*",))])
ANYBODY = client_with("anonymous", "anonymous", [Rights(models=("*",))])
HERE = "192.0.2.1"

RATES = st.floats(0.01, 10_000)
BURSTS = st.integers(1, 1000)
GAPS = st.floats(0, 100) | st.just(0.0)
STARTS = st.floats(0, 1e7)
TAKES = st.lists(st.tuples(GAPS, st.integers(1, 20)), min_size=1, max_size=60)


def limiter(**facts: Any) -> RateLimiter:
    return RateLimiter(RateLimit.model_validate(facts))


def granted(limits: RateLimiter, client: Client, *, now: float, peer: str = HERE, most: int = 100) -> int:
    count = 0
    while count < most and limits.take(client, peer=peer, now=now) == 0:
        count += 1
    return count


@settings(deadline=None)
@given(rate=RATES, burst=BURSTS, start=STARTS, takes=TAKES)
def test_never_more_than_burst_and_rate_allow_in_any_window(
    rate: float, burst: int, start: float, takes: list[tuple[float, int]]
) -> None:
    buckets, quota = Buckets(10), Quota(None, Pace(rate, burst))
    now, got = start, [(start, 0.0)]
    for gap, rows in takes:
        now += gap
        if buckets.take("c", quota, requests=1, rows=rows, now=now) == 0:
            got.append((now, rows))
    for place, (begun, _) in enumerate(got):
        total = 0.0
        for moment, rows in got[place:]:
            total += rows
            assert total <= burst + rate * (moment - begun + 2 * TOLERANCE_S) + 1e-9 * total


@settings(deadline=None)
@given(rate=RATES, burst=BURSTS, start=STARTS, takes=TAKES)
def test_who_waits_as_told_is_granted(rate: float, burst: int, start: float, takes: list[tuple[float, int]]) -> None:
    buckets, quota = Buckets(10), Quota(None, Pace(rate, burst))
    now = start
    for gap, rows in takes:
        wanted = min(rows, burst)
        now += gap
        wait_s = buckets.take("c", quota, requests=1, rows=wanted, now=now)
        assert 0 <= wait_s <= burst / rate + 2 * TOLERANCE_S
        if wait_s:
            earlier = now + wait_s * 0.9 - 2 * TOLERANCE_S
            if earlier > now and wait_s > 1e-3:
                assert buckets.take("c", quota, requests=1, rows=wanted, now=earlier) > 0
            now += wait_s
            assert buckets.take("c", quota, requests=1, rows=wanted, now=now) == 0


@settings(deadline=None)
@given(rate=RATES, burst=BURSTS, start=STARTS, takes=TAKES)
def test_after_a_pause_the_whole_burst_is_there_again(
    rate: float, burst: int, start: float, takes: list[tuple[float, int]]
) -> None:
    buckets, quota = Buckets(10), Quota(None, Pace(rate, burst))
    now = start
    for gap, rows in takes:
        now += gap
        buckets.take("c", quota, requests=1, rows=rows, now=now)
    assert buckets.take("c", quota, requests=1, rows=burst, now=now + burst / rate) == 0


@settings(deadline=None)
@given(takes=st.lists(st.tuples(st.floats(0, 2), st.sampled_from("abcdefgh"), st.integers(1, 5)), max_size=80))
def test_the_number_of_buckets_is_bounded_and_crowding_gives_nobody_more(takes: list[tuple[float, str, int]]) -> None:
    small, large, quota = Buckets(3), Buckets(1000), Quota(Pace(1, 4), None)
    now = 0.0
    for gap, key, amount in takes:
        now += gap
        tight = small.take(key, quota, requests=amount, rows=0, now=now)
        # Nobody is granted what it would not be granted with a bucket of its own from the start.
        if tight == 0:
            assert large.take(key, quota, requests=amount, rows=0, now=now) == 0
        assert len(small) <= 3


def test_room_is_made_by_whoever_has_not_asked_for_longest() -> None:
    buckets, quota = Buckets(LOOKED_AT + 1), Quota(Pace(1, 2), None)
    for key in range(LOOKED_AT + 1):
        buckets.take(key, quota, requests=1, rows=0, now=0)
    for key in range(LOOKED_AT):
        buckets.take(key, quota, requests=2, rows=0, now=10)
    buckets.take("new", quota, requests=2, rows=0, now=10)
    assert buckets.take("another", quota, requests=2, rows=0, now=10) == 0
    assert buckets.take("new", quota, requests=1, rows=0, now=11) == 0
    assert len(buckets) == LOOKED_AT + 1


def test_a_refused_request_takes_nothing() -> None:
    limits = limiter(requests_per_s=1, request_burst=2, rows_per_s=10, row_burst=10)
    assert limits.take(NIGHTLY, peer=HERE, now=0, rows=9) == 0
    assert limits.take(NIGHTLY, peer=HERE, now=0, rows=2) == pytest.approx(0.1)
    assert limits.take(NIGHTLY, peer=HERE, now=0, rows=1) == 0
    assert limits.take(NIGHTLY, peer=HERE, now=0) == pytest.approx(1)


def test_clients_do_not_share() -> None:
    limits = limiter(requests_per_s=1, request_burst=3)
    assert granted(limits, NIGHTLY, now=0) == 3
    assert granted(limits, PORTAL, now=0) == 3
    same_name = client_with("nightly", "token", [Rights(models=("*",))])
    assert granted(limits, same_name, now=0) == 3


def test_a_client_has_one_share_from_wherever_it_asks() -> None:
    limits = limiter(requests_per_s=1, request_burst=3)
    assert granted(limits, NIGHTLY, now=0, peer="192.0.2.1") == 3
    assert granted(limits, NIGHTLY, now=0, peer="192.0.2.2") == 0


def test_strangers_are_counted_by_address() -> None:
    limits = limiter(requests_per_s=100, anonymous={"requests_per_s": 1, "request_burst": 2})
    assert granted(limits, ANYBODY, now=0, peer="192.0.2.1") == 2
    assert granted(limits, ANYBODY, now=0, peer="192.0.2.2") == 2
    assert granted(limits, ANYBODY, now=0, peer="2001:db8::1") == 2
    assert granted(limits, ANYBODY, now=0, peer="2001:db8::2") == 0
    assert granted(limits, NIGHTLY, now=0) == 100


def test_strangers_cannot_crowd_out_each_other_for_ever_nor_those_who_are_known() -> None:
    limits = limiter(requests_per_s=1, request_burst=2, buckets=5)
    for number in range(200):
        limits.take(ANYBODY, peer=f"192.0.2.{number}", now=0)
    assert limits.take(ANYBODY, peer="198.51.100.1", now=0) > 0
    assert granted(limits, NIGHTLY, now=0) == 2
    assert granted(limits, ANYBODY, now=10, peer="198.51.100.1") == 2


def test_named_clients_have_rates_of_their_own() -> None:
    limits = limiter(requests_per_s=1, clients={"nightly": {"requests_per_s": 50, "request_burst": 60}, "portal": {}})
    assert granted(limits, NIGHTLY, now=0) == 60
    assert granted(limits, PORTAL, now=0) == 100
    assert granted(limits, client_with("other", "api_key", []), now=0) == 1


def test_a_burst_that_is_not_said_is_one_seconds() -> None:
    assert granted(limiter(requests_per_s=7.9), NIGHTLY, now=0) == 7
    assert granted(limiter(requests_per_s=0.1), NIGHTLY, now=0) == 1


def test_what_can_never_be_granted_is_not_put_off() -> None:
    limits = limiter(rows_per_s=10, row_burst=100)
    with pytest.raises(RowsOverBurst, match="101 rows in one request; this client may send 100 at once"):
        limits.take(NIGHTLY, peer=HERE, now=0, requests=0, rows=101)
    assert limits.take(NIGHTLY, peer=HERE, now=0, requests=0, rows=100) == 0


def test_a_refusal_says_when_to_come_back_in_whole_seconds() -> None:
    limits = limiter(requests_per_s=0.3)
    limits.require(NIGHTLY, peer=HERE, now=0)
    with pytest.raises(RateLimited, match="try again in 4 s") as caught:
        limits.require(NIGHTLY, peer=HERE, now=0)
    assert caught.value.retry_after_s == math.ceil(caught.value.wait_s) == 4
    assert caught.value.retryable
    assert RateLimited(wait_s=0.001).retry_after_s == 1


def test_a_clock_that_goes_back_grants_nothing_more() -> None:
    limits = limiter(requests_per_s=1, request_burst=3)
    assert granted(limits, NIGHTLY, now=100) == 3
    assert granted(limits, NIGHTLY, now=50) == 0


def test_a_slow_client_in_the_shared_bucket_does_not_slow_others_down() -> None:
    buckets, slow, fast = Buckets(1), Quota(Pace(0.001, 100), None), Quota(Pace(10, 10), None)
    assert buckets.take("first", slow, requests=50, rows=0, now=0) == 0
    assert buckets.take("slow", slow, requests=100, rows=0, now=0) == 0
    assert buckets.take("fast", fast, requests=10, rows=0, now=0) == 0
    assert buckets.take("fast", fast, requests=1, rows=0, now=0) == pytest.approx(0.1)
    assert buckets.take("slow", slow, requests=1, rows=0, now=0) == pytest.approx(1000)
