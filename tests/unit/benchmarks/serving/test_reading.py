import struct

import orjson
import pytest

from benchmarks.serving.reading import READERS, Checker
from benchmarks.serving.wire import Answer


def answer(body: bytes, head: bytes = b"HTTP/1.1 200 OK\r\n") -> Answer:
    return Answer(200, head, body, last=False)


BINARY_HEAD = orjson.dumps({"outputs": [{"name": "score", "datatype": "FP64", "shape": [1]}]})
ANSWERS = {
    "plain": answer(b'{"score":0.25}'),
    "mlflow": answer(b'{"predictions":[{"score":0.25}]}'),
    "v2": answer(b'{"outputs":[{"name":"score","datatype":"FP64","shape":[1,1],"data":[[0.25]]}]}'),
    "v2-binary": answer(
        BINARY_HEAD + struct.pack("<d", 0.25),
        b"HTTP/1.1 200 OK\r\nInference-Header-Content-Length: %d\r\n" % len(BINARY_HEAD),
    ),
}


@pytest.mark.parametrize("name", READERS)
def test_the_score_is_found_in_every_format(name: str) -> None:
    assert READERS[name](ANSWERS[name]) == 0.25


def test_mlflow_may_answer_with_plain_numbers_and_v2_without_binary() -> None:
    assert READERS["mlflow"](answer(b'{"predictions":[0.25]}')) == 0.25
    assert READERS["v2-binary"](ANSWERS["v2"]) == 0.25


@pytest.mark.parametrize(
    "body",
    [
        b'{"score":0.3}',
        b'{"score":null}',
        b'{"score":NaN}',
        b'{"predictions":[0.25]}',
        b"not json",
        b'{"score":"a"}',
        b"[]",
        b'{"score":1e999}',
    ],
)
def test_an_answer_that_is_not_the_score_is_wrong(body: bytes) -> None:
    checker = Checker("plain", [0.25], tolerance=1e-5)
    assert not checker.is_right(0, answer(body))


def test_every_answer_is_checked_against_its_own_row() -> None:
    checker = Checker("plain", [0.25, 0.5], tolerance=1e-5)
    assert checker.is_right(0, answer(b'{"score":0.250001}'))
    assert checker.is_right(0, answer(b'{"score":0.250001}'))
    assert not checker.is_right(1, answer(b'{"score":0.250001}'))
    assert checker.is_right(0, answer(b'{"score": 0.25}'))
    assert checker.largest_difference == pytest.approx(1e-6)
