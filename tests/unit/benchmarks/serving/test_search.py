import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.serving.load import Measured
from benchmarks.serving.search import STEPS, highest_rate, keeps_up


def measured(rate: float, *, p99_ms: float | None = 10.0, errors: int = 0) -> Measured:
    told = {"status 503": errors} if errors else {}
    return Measured(100, 1.0, p99_ms, rate, errors=told, late_p99_ms=0.1, largest_difference=0.0, tool_cpu=0.1)


@given(st.floats(50, 5000), st.floats(0.5, 1.5))
def test_the_highest_rate_is_found_from_either_side(capacity: float, begin: float) -> None:
    asked = []

    def measure(rate: float) -> Measured:
        asked.append(rate)
        return measured(rate, p99_ms=10.0 if rate <= capacity else 400.0)

    best = highest_rate(measure, first=capacity * begin, p99_ms=50.0)
    assert best is not None
    assert capacity * 0.9 <= best.rps <= capacity
    assert len(asked) <= STEPS


def test_a_server_that_is_always_late_has_no_rate() -> None:
    assert highest_rate(lambda rate: measured(rate, p99_ms=80.0), first=100.0, p99_ms=50.0) is None


@pytest.mark.parametrize(
    "seen", [measured(100, errors=1), measured(100, p99_ms=51), measured(90), measured(100, p99_ms=None)]
)
def test_errors_lateness_a_growing_queue_and_silence_are_not_keeping_up(seen: Measured) -> None:
    assert not keeps_up(seen, rate=100.0, p99_ms=50.0)
    assert keeps_up(measured(99), rate=100.0, p99_ms=50.0)
