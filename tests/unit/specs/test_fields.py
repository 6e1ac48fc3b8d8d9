"""What the fields of a spec may hold, and what somebody is told who wrote something else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from lockstep.specs.fields import CRON, Cron, Timezone


def told(kind: object, value: str) -> str:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_python(value)
    return str(caught.value.errors(include_url=False)[0]["msg"])


@pytest.mark.parametrize(
    "cron",
    [
        "0 6 * * *",
        "*/15 0-23/2 1,15 * MON-FRI",
        "0 0 L * *",
        "0 6 * jan,JUL 7",
        "5 4 * * sun",
        "0 6 ? * MON#2",
        "30 2 1-31/7 */3 0",
        "*/90 * * * *",
    ],
)
def test_what_schedulers_take(cron: str) -> None:
    assert TypeAdapter(Cron).validate_python(cron) == cron


@pytest.mark.parametrize(
    ("cron", "said"),
    [
        ("0 25 * * *", "has 25 as hour, in '0 25 * * *'; expected 0 to 23"),
        ("60 6 * * *", "has 60 as minute"),
        ("0 6 32 * *", "has 32 as day"),
        ("0 6 0 * *", "has 0 as day"),
        ("0 6 * 1-13 *", "has 13 as month"),
        ("0 6 * * 8", "has 8 as weekday"),
        ("0 6 * * MOO", "has 'MOO' as weekday"),
        ("0 6 * june *", "has 'june' as month"),
        ("0 6 * *", "must be a cron expression of 5 fields"),
        ("daily", "must be a cron expression of 5 fields, such as '0 6 * * *', not 'daily'"),
    ],
)
def test_what_no_clock_has(cron: str, said: str) -> None:
    assert said in told(Cron, cron)


@given(st.tuples(*(st.integers(lowest, highest) for lowest, highest, _ in CRON.values())))
def test_every_moment_is_one(fields: tuple[int, ...]) -> None:
    cron = " ".join(map(str, fields))
    assert TypeAdapter(Cron).validate_python(cron) == cron


@given(st.integers(0, 4), st.integers(60, 10_000))
def test_no_number_beyond_all_is_one(index: int, number: int) -> None:
    fields = ["1"] * len(CRON)
    fields[index] = str(number)
    assert f"has {number} as {list(CRON)[index]}" in told(Cron, " ".join(fields))


def test_a_slip_in_a_time_zone_is_told_with_what_was_meant() -> None:
    assert told(Timezone, "Europe/Berln").endswith("not 'Europe/Berln'. Did you mean 'Europe/Berlin'?")
    assert TypeAdapter(Timezone).validate_python("Europe/Berlin") == "Europe/Berlin"
