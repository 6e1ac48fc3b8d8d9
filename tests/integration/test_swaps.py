"""Hot swaps under load: no request fails, each answer is one version's, and memory comes back."""

import os
from collections.abc import Iterator

import psutil
import pytest
from endpoints import JSON, Endpoint
from load import BODY, Load, managed, until
from world import GOOD, OTHER_GOOD, World

# `make test-swaps` has a hundred.
SWAPS = int(os.environ.get("LOCKSTEP_SWAPS", "8"))
# What an allocator may keep, beside the two versions that stay loaded.
SPARE_MIB = 60


@pytest.fixture
def endpoint(world: World) -> Iterator[Endpoint]:
    with managed(world) as running:
        yield running


def load(endpoint: Endpoint, version: int) -> None:
    body = b'{"parameters": {"version": "%d"}}' % version
    assert endpoint.ask("/v2/repository/models/churn/load", body, JSON)[0] == 200


def resident_mib(endpoint: Endpoint) -> float:
    return psutil.Process(endpoint.process.pid).memory_info().rss / 2**20


def test_swaps_under_load_fail_nobody_and_mix_nothing(endpoint: Endpoint) -> None:
    expected = {}
    for version in (GOOD, OTHER_GOOD, GOOD, OTHER_GOOD):  # both are loaded once, as they stay from then on
        load(endpoint, version)
        expected[str(version)] = endpoint.ask("/invocations", BODY, JSON)[2]["predictions"][0]["risk"]
    assert expected[str(GOOD)] != expected[str(OTHER_GOOD)]
    with Load(endpoint, clients=4) as clients:
        until(lambda: clients.outcomes["200"] > 50)
        before = resident_mib(endpoint)
        for number in range(SWAPS):
            load(endpoint, (GOOD, OTHER_GOOD)[number % 2])
        grown = resident_mib(endpoint) - before
        served = clients.outcomes["200"]
        until(lambda: clients.outcomes["200"] > served + 50)
    assert clients.outcomes.keys() <= {"200", "broken"}
    assert not clients.outcomes["broken"]
    assert clients.answers == {version: {score} for version, score in expected.items()}
    assert grown < SPARE_MIB, f"{SWAPS} swaps, {clients.outcomes['200']} answers, memory grew by {grown:.0f} MiB"
    print(f"{SWAPS} swaps, {clients.outcomes['200']} answers, memory {before:.0f} MiB and {grown:+.0f}")
