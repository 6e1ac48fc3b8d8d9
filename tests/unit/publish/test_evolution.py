import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.errors import PublishError
from lockstep.publish.evolution import plan_changes

WIDENINGS = {"int": {"long", "double"}, "float": {"double"}}
KINDS = st.sampled_from(["int", "long", "float", "double", "text"])
COLUMNS = st.dictionaries(st.sampled_from("abcd"), KINDS, max_size=4)


def plan(existing: dict[str, str], staged: dict[str, str], *, may_lack: bool = False):  # type: ignore[no-untyped-def]
    return plan_changes(existing, staged, widenings=WIDENINGS, table="t", may_lack=may_lack)


def test_changes_are_told_one_by_one() -> None:
    changes = plan({"a": "int", "b": "text"}, {"a": "long", "b": "text", "c": "float"})
    assert (changes.added, changes.widened) == ({"c": "float"}, {"a": "long"})
    assert changes.sentences({"a": "int", "b": "text"}) == (
        "column c float is added; rows of other partitions have nulls",
        "column a becomes long, it was int",
    )


def test_every_problem_is_named() -> None:
    with pytest.raises(PublishError) as caught:
        plan({"a": "text", "b": "int", "c": "int"}, {"a": "int", "b": "text"})
    for words in ("the table has c int", "column a: expected text, got int", "column b: expected int, got text"):
        assert words in str(caught.value)


@given(existing=COLUMNS, staged=COLUMNS, may_lack=st.booleans())
def test_what_is_planned_takes_the_rows_and_loses_nothing(
    existing: dict[str, str], staged: dict[str, str], may_lack: bool
) -> None:
    try:
        changes = plan(existing, staged, may_lack=may_lack)
    except PublishError:
        lost = existing.keys() - staged.keys() and not may_lack
        misfit = any(
            kind not in WIDENINGS.get(existing[name], ())
            and existing[name] != kind
            and existing[name] not in WIDENINGS.get(kind, ())
            for name, kind in staged.items()
            if name in existing
        )
        assert lost or misfit
        return
    after = {**existing, **changes.added, **changes.widened}
    assert after.keys() == existing.keys() | staged.keys()
    for name, kind in staged.items():
        assert after[name] == kind or after[name] in WIDENINGS[kind]
    for name, kind in existing.items():
        assert after[name] == kind or after[name] in WIDENINGS[kind]
