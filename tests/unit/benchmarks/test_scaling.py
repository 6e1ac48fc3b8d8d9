"""The page of the scaling benchmark says what was recorded, and what was recorded grows as it must."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.scaling import page
from benchmarks.scaling.capacity import DRIVER, READS_PER_UNIT, WRITES_PER_UNIT, Cluster, Prices
from benchmarks.scaling.fitting import exponent, grouped
from tests.unit.scoring.test_requests import WRITING

NEAR_LINEAR = 1.15
# A step that takes less for the largest size may grow as it likes: caches of the processor decide.
COUNTS_S = 1.0
# Already from so many units on, but for steps whose records then still fit into those caches.
SMALL, CACHED = 10_000, ("account", "manifest_read")
MEASURED = json.loads((page.RESULTS / "scaling.json").read_text(encoding="utf-8"))["measured"]


def test_the_page_has_the_recorded_results() -> None:
    assert page.chapters(Prices()) in page.PAGE.read_text(encoding="utf-8")


def test_every_step_was_measured() -> None:
    assert set(page.TITLES) <= set(grouped(MEASURED))
    assert {f"{kind} {name}" for kind in ("duckdb", "postgresql") for name in page.LEDGER} <= set(grouped(MEASURED))


@pytest.mark.parametrize("step", sorted(set(page.TITLES) - {"todo_each"}))
def test_recorded_times_grow_nearly_in_line(step: str) -> None:
    found = grouped(MEASURED)[step]
    for smallest in (None,) if step in CACHED else (None, SMALL):
        power = exponent(found, "cpu_s", smallest=smallest)
        assert power is not None
        assert power <= NEAR_LINEAR or found[max(found)]["cpu_s"] < COUNTS_S


def test_capacity_reckons_with_the_requests_that_are_counted() -> None:
    assert WRITING["put"] + WRITING["list"] == WRITES_PER_UNIT
    assert WRITING["head"] + 2 == READS_PER_UNIT, "the driver reads a result for the progress and for the manifest"
    assert len(set(DRIVER)) == len(DRIVER)


@given(st.floats(0.1, 3), st.floats(1e-4, 10))
def test_the_exponent_of_a_power_is_found(power: float, factor: float) -> None:
    sizes = (100_000, 300_000, 1_000_000)
    found = {size: {"s": factor * size**power} for size in sizes}
    assert math.isclose(exponent(found, "s") or 0, power, rel_tol=1e-6)


def test_a_cluster_whose_driver_does_nothing_grows_with_its_cores() -> None:
    one, many = (Cluster(count, 1e6, 1_000_000, driver_s=0) for count in (1, 100))
    assert many.rows_h == pytest.approx(100 * one.rows_h)
    busy = Cluster(100, 1e6, 1_000_000, driver_s=1e-3)
    assert busy.rows_h == pytest.approx(many.rows_h / 1.4)
    assert busy.cost(Prices())[0] == pytest.approx(1.4 * many.cost(Prices())[0])
