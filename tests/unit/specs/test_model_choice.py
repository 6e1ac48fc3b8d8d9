import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.errors import ModelChoiceInvalid
from lockstep.specs.model_choice import PATTERN, ModelChoice


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("@champion", ModelChoice(alias="champion")),
        ("@17", ModelChoice(alias="17")),
        ("17", ModelChoice(version=17)),
        ("as-published", ModelChoice(as_published=True)),
    ],
)
def test_one_word_is_one_choice(text: str, choice: ModelChoice) -> None:
    assert ModelChoice.parse(text) == choice


@pytest.mark.parametrize("text", ["", "champion", "@", "0", "-1", "1.0", "017", "17 ", "17\n", "@a b", "latest"])
def test_anything_else_is_one_error_that_says_what_is_expected(text: str) -> None:
    with pytest.raises(ModelChoiceInvalid, match=r"expected an alias such as '@champion', a version such as '17'"):
        ModelChoice.parse(text)


@given(st.text(max_size=20) | st.from_regex(PATTERN))
def test_a_choice_is_of_exactly_one_kind(text: str) -> None:
    try:
        choice = ModelChoice.parse(text)
    except ModelChoiceInvalid:
        return
    assert [choice.alias is not None, choice.version is not None, choice.as_published].count(True) == 1
    assert re.match(PATTERN, text)
