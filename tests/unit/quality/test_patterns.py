import re

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.quality.patterns import engine_pattern

ATOMS = ["a", "b", "1", "[a-b]", "[^a]", r"\.", "(a|b1)", "(?:ab)", "-", " "]
REPEATS = ["", "*", "+", "?", "{2}", "{0,1}"]
TEXTS = ["", "a", "b", "ab", "aab", "b1", "a.", "a\n", "\n", "1a\nb", "é", "a-b", "- "]


@given(st.lists(st.tuples(st.sampled_from(ATOMS), st.sampled_from(REPEATS)), max_size=4), st.booleans(), st.booleans())
def test_the_engine_reads_it_as_python_does(parts: list[tuple[str, str]], start: bool, end: bool) -> None:
    regex = ("^" if start else "") + "".join(atom + times for atom, times in parts) + ("$" if end else "")
    pattern = engine_pattern(regex)
    if pattern is None:
        assert regex.count("{") > 1
        return
    with duckdb.connect(":memory:") as engine:
        rows = engine.execute("SELECT regexp_matches(t, ?) FROM unnest(?) AS x(t)", [pattern, TEXTS]).fetchall()
    assert [row[0] for row in rows] == [re.search(regex, text) is not None for text in TEXTS]


@pytest.mark.parametrize(
    "regex", [r"\d", r"\w+", ".", "(?i)a", "(?=a)", "é", "a$b", r"\\$", "a{2}b{3}", "a*?", "[", "[\\]]"]
)
def test_what_may_be_read_differently_is_left_to_python(regex: str) -> None:
    assert engine_pattern(regex) is None
