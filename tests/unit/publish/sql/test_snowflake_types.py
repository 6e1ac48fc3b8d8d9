import re

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.errors import PublishError
from lockstep.publish.evolution import plan_changes
from lockstep.publish.sql.session import quoted, text
from lockstep.publish.sql.snowflake_types import DIGITS, WIDENINGS, columns_of, listed, sql_type, unfolded

INTEGERS = [kind for kind, _ in DIGITS]


@pytest.mark.parametrize("kind", INTEGERS, ids=str)
def test_a_number_has_room_for_every_value(kind: pa.DataType) -> None:
    digits = int(re.fullmatch(r"NUMBER\((\d+),0\)", sql_type(kind, column="n"))[1])  # type: ignore[index]
    bits = kind.bit_width - pa.types.is_signed_integer(kind)
    assert 10 ** (digits - 1) <= 2**bits < 10**digits


@given(st.sampled_from(INTEGERS), st.sampled_from(INTEGERS))
def test_numbers_widen_and_never_narrow(old: pa.DataType, new: pa.DataType) -> None:
    kinds = [sql_type(kind, column="n") for kind in (old, new)]
    changes = plan_changes({"n": kinds[0]}, {"n": kinds[1]}, widenings=WIDENINGS, table="t", may_lack=False)
    assert bool(changes.widened) == (dict(zip(INTEGERS, [d for _, d in DIGITS], strict=True))[new] > _digits(kinds[0]))


def _digits(kind: str) -> int:
    return int(kind.removeprefix("NUMBER(").removesuffix(",0)"))


def test_columns_are_named_as_the_information_schema_lists_them() -> None:
    staged = pa.schema(
        {
            "Flight": pa.int32(),
            "p": pa.float32(),
            "moment": pa.timestamp("us", "UTC"),
            "wall": pa.timestamp("us"),
            "kind": pa.dictionary(pa.int32(), pa.string()),
            "vector": pa.list_(pa.float32(), 3),
        }
    )
    facts = {
        "FLIGHT": ("NUMBER", 10, 0),
        "P": ("FLOAT", None, None),
        "MOMENT": ("TIMESTAMP_TZ", None, None),
        "WALL": ("TIMESTAMP_NTZ", None, None),
        "KIND": ("TEXT", None, None),
        "VECTOR": ("ARRAY", None, None),
    }
    assert columns_of(staged) == listed(facts)


def test_names_that_differ_in_case_alone_are_refused() -> None:
    with pytest.raises(PublishError, match="only in upper and lower case: band"):
        columns_of(pa.schema({"band": pa.int8(), "Band": pa.int8()}))


def test_a_type_that_snowflake_lacks_names_its_column() -> None:
    with pytest.raises(PublishError, match=r"column gap of type duration\[us\] cannot be published to Snowflake"):
        columns_of(pa.schema({"gap": pa.duration("us")}))


@given(st.lists(st.tuples(st.booleans(), st.text(st.characters(codec="ascii"))), max_size=6))
def test_names_are_upper_case_and_texts_stay(parts: list[tuple[bool, str]]) -> None:
    """Whatever stands in a name or a text, quotes of either kind included."""
    query = " , ".join(text(part) if is_text else quoted(part) for is_text, part in parts)
    wanted = " , ".join(text(part) if is_text else quoted(part).upper() for is_text, part in parts)
    assert unfolded(f"select {query} from t") == f"select {wanted} from t"
