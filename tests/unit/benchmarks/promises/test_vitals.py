"""What counts as growth of a long run."""

import pytest

from benchmarks.promises.vitals import Bounds, Vitals, growth

REQUESTS = 1_000


def run(memory: "list[float]", files: int = 40) -> list[Vitals]:
    step = REQUESTS / (len(memory) - 1)
    return [Vitals(place * step, each, files, 9) for place, each in enumerate(memory)]


def test_what_grows_while_warming_up_does_not_count() -> None:
    seen = run([100.0 + min(place, 20) * 10 for place in range(101)])
    grown = growth(seen, requests=REQUESTS)
    assert (grown.last_half_mib, grown.since_warm_mib) == (pytest.approx(0, abs=1e-6), pytest.approx(0, abs=1e-6))
    assert grown.beyond(Bounds()) == []


def test_a_slow_leak_is_seen() -> None:
    grown = growth(run([100.0 + place for place in range(101)]), requests=REQUESTS)
    assert grown.last_half_mib == pytest.approx(50)
    assert grown.since_warm_mib == pytest.approx(60)
    assert len(grown.beyond(Bounds())) == 2
    assert grown.beyond(Bounds(last_half_mib=51, since_warm_mib=61)) == []


def test_a_saw_of_memory_is_no_leak() -> None:
    assert growth(run([100.0 + place % 5 for place in range(101)]), requests=REQUESTS).beyond(Bounds()) == []


def test_files_that_stay_open_are_seen() -> None:
    seen = [Vitals(place * 10, 100.0, 40 + place, 9) for place in range(101)]
    assert "open files grew by" in growth(seen, requests=REQUESTS).beyond(Bounds())[0]


def test_too_few_looks_say_nothing() -> None:
    with pytest.raises(ValueError, match="say nothing"):
        growth(run([100.0, 100.0, 100.0]), requests=REQUESTS)
