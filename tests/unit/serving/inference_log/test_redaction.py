"""What is not to be kept is not there, and a hash says nothing without the secret."""

import hashlib
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.serving.inference_log.errors import SaltUnusable
from lockstep.serving.inference_log.redaction import hashed, read_salt, redacted

SALT, OTHER = b"s" * 64, b"t" * 64


@given(values=st.lists(st.one_of(st.none(), st.text(max_size=9)), max_size=20))
def test_equal_values_have_equal_hashes_and_others_do_not(values: list[str | None]) -> None:
    found = hashed(pa.array(values, pa.string()), SALT).to_pylist()
    assert [each is None for each in found] == [value is None for value in values]
    assert len(set(found)) == len(set(values))
    expected = [
        None if v is None else hashlib.blake2b(v.encode(), digest_size=16, key=SALT).hexdigest() for v in values
    ]
    assert found == expected
    others = hashed(pa.array(values, pa.string()), OTHER).to_pylist()
    assert {each for each in found if each} & {each for each in others if each} == set()


@pytest.mark.parametrize(
    ("array", "texts"),
    [
        (pa.array([12, None], pa.int64()), [b"12", None]),
        (pa.array([0.1, float("nan")], pa.float64()), [b"0.1", b"nan"]),
        (pa.array([True, None]), [b"true", None]),
        (pa.array([1_000_000, None], pa.timestamp("us")), [b"1970-01-01 00:00:01.000000", None]),
        (pa.array([[1.0, 2.5], None], pa.list_(pa.float32(), 2)), [b"[1.0,2.5]", None]),
    ],
)
def test_a_hash_is_that_of_the_values_text(array: pa.Array, texts: list[bytes | None]) -> None:
    expected = [None if t is None else hashlib.blake2b(t, digest_size=16, key=SALT).hexdigest() for t in texts]
    assert hashed(array, SALT).to_pylist() == expected


def test_the_policies() -> None:
    values = pa.array([1, None], pa.int32())
    assert redacted(values, pa.int32(), "keep", salt=b"") is values
    assert redacted(values, pa.int64(), "keep", salt=b"").equals(pa.array([1, None], pa.int64()))
    assert redacted(values, pa.int32(), "null", salt=b"").equals(pa.nulls(2, pa.int32()))
    assert redacted(values, pa.string(), "hash", salt=SALT).type == pa.string()


def test_a_salt_is_read_without_its_line_end(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a long enough secret\n")
    (tmp_path / "b").write_text("a long enough secret")
    assert read_salt(tmp_path / "a") == read_salt(tmp_path / "b")
    assert len(read_salt(tmp_path / "a")) == 64


def test_a_salt_that_is_none_is_refused_without_being_told(tmp_path: Path) -> None:
    (tmp_path / "short").write_text("   hush-hush   \n")
    with pytest.raises(SaltUnusable, match="holds fewer than 16 bytes") as caught:
        read_salt(tmp_path / "short")
    assert "hush" not in str(caught.value)
    with pytest.raises(SaltUnusable, match="cannot be read"):
        read_salt(tmp_path / "nowhere")
