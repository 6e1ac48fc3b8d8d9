"""Messages are looked through before an object is made of every field."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.errors import RequestInvalid
from lockstep.serving.grpc import open_inference_pb2 as pb
from lockstep.serving.grpc.wire import MOST_FIELDS, SHORT_BYTES, asked_model, parse, parse_infer

INPUT = b"\x2a\x00"  # an empty tensor


@given(st.text(max_size=20), st.text(max_size=20), st.binary(max_size=300), st.integers(0, 2**63 - 1))
def test_the_model_is_found_without_parsing(name: str, version: str, raw: bytes, rows: int) -> None:
    request = pb.ModelInferRequest(model_name=name, model_version=version, id="x", raw_input_contents=[raw])
    request.inputs.add(name="a", shape=[rows])
    assert asked_model(request.SerializeToString()) == (name, version)


def test_of_a_name_that_comes_twice_the_last_counts_as_in_protobuf() -> None:
    message = b"\x0a\x01a\x78\x05\x7d\x00\x00\x00\x00\x79" + b"\x00" * 8 + b"\x0a\x01b"  # between: unknown fields
    assert asked_model(message) == ("b", "")
    assert parse_infer(message).model_name == "b"


def test_a_long_message_of_empty_fields_is_refused_before_it_takes_memory() -> None:
    fits = INPUT * MOST_FIELDS
    assert len(fits) > SHORT_BYTES
    assert len(parse_infer(fits).inputs) == MOST_FIELDS
    for read in (parse_infer, asked_model):
        with pytest.raises(RequestInvalid, match="more than 65536 fields"):
            read(fits + INPUT)


@pytest.mark.parametrize(
    "message",
    [
        b"\x0a",
        b"\x0a\x05ab",
        b"\x0a\x80",
        b"\x0b",
        b"\x0c",
        b"\xff" * 11,
        b"\x08" + b"\xff" * 10,
        b"\x0a\x01\xff",
        b"\x79\x00",
    ],
)
def test_a_malformed_message_is_refused(message: bytes) -> None:
    for read in (parse_infer, asked_model):
        with pytest.raises(RequestInvalid, match=r"not a valid inference\.ModelInferRequest"):
            read(message)


@given(st.binary(max_size=60))
def test_what_protobuf_reads_names_the_same_model(message: bytes) -> None:
    try:
        expected = parse(pb.ModelInferRequest, message)
    except RequestInvalid:
        return
    try:
        assert asked_model(message) == (expected.model_name, expected.model_version)
    except RequestInvalid:
        assert any(byte & 7 in (3, 4) for byte in message)  # groups, which are passed over by protobuf alone
