"""Messages of the protocol as bytes: parsed within bounds.

Parsing makes an object of every field, and an empty one takes two bytes on the wire and ninety in memory. So a long
message is looked through first, which makes no object.
"""

from collections.abc import Iterator
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from lockstep.errors import RequestInvalid
from lockstep.serving.grpc import open_inference_pb2 as pb

# Tensors, outputs, parameters and raw contents of one request: far more than any signature has.
MOST_FIELDS = 65_536
# Shorter messages are parsed at once.
SHORT_BYTES = 64 * 2**10

VARINT, FIXED_64, DELIMITED, FIXED_32 = 0, 1, 2, 5
FIXED_SIZES = {FIXED_64: 8, FIXED_32: 4}
VARINT_BYTES = 10
MessageT = TypeVar("MessageT", bound=Message)
MODEL_NAME = pb.ModelInferRequest.MODEL_NAME_FIELD_NUMBER
MODEL_VERSION = pb.ModelInferRequest.MODEL_VERSION_FIELD_NUMBER


def parse_infer(message: bytes) -> pb.ModelInferRequest:
    """Parse an inference request.

    Raises:
        RequestInvalid: It is none, or has too many fields.
    """
    if len(message) > SHORT_BYTES:
        for _ in _fields(message):
            pass
    return parse(pb.ModelInferRequest, message)


def parse(kind: type[MessageT], message: bytes) -> MessageT:
    """Parse a message.

    Raises:
        RequestInvalid: It is not of that kind.
    """
    parsed: MessageT = kind()
    try:
        parsed.ParseFromString(message)
    except DecodeError as error:
        raise _malformed(kind) from error
    return parsed


def asked_model(message: bytes) -> tuple[str, str]:
    """Return the model and the version that an inference request is for, without parsing its tensors.

    Raises:
        RequestInvalid: It is no inference request, or has too many fields.
    """
    found = {MODEL_NAME: b"", MODEL_VERSION: b""}
    for number, value in _fields(message):
        if number in found:
            found[number] = bytes(value)
    try:
        return found[MODEL_NAME].decode(), found[MODEL_VERSION].decode()
    except UnicodeDecodeError as error:
        raise _malformed() from error


def _fields(message: bytes) -> Iterator[tuple[int, memoryview]]:
    """Yield number and bytes of the fields that have a length; those of a fixed size are passed over."""
    view, place = memoryview(message), 0
    for _ in range(MOST_FIELDS + 1):
        if place == len(view):
            return
        tag, place = _varint(view, place)
        kind, length = tag & 7, 0
        if kind == VARINT:
            _, place = _varint(view, place)
        elif kind == DELIMITED:
            length, place = _varint(view, place)
        elif kind in FIXED_SIZES:
            length = FIXED_SIZES[kind]
        else:
            raise _malformed()
        if place + length > len(view):
            raise _malformed()
        if kind == DELIMITED:
            yield tag >> 3, view[place : place + length]
        place += length
    raise RequestInvalid(f"the message has more than {MOST_FIELDS} fields")


def _varint(view: memoryview, place: int) -> tuple[int, int]:
    """Return a number of seven bits a byte, and the place after it."""
    value = 0
    for index in range(VARINT_BYTES):
        if place >= len(view):
            raise _malformed()
        byte = view[place]
        place += 1
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, place
    raise _malformed()


def _malformed(kind: type[Message] = pb.ModelInferRequest) -> RequestInvalid:
    return RequestInvalid(f"the message is not a valid {kind.DESCRIPTOR.full_name}")
