"""What servers answer: how each of their formats is read, and whether the score in it is the right one."""

import re
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from benchmarks.serving.wire import Answer

JSON_LENGTH = re.compile(rb"\r\ninference-header-content-length:[ \t]*(\d+)", re.IGNORECASE)
Read = Callable[[Answer], float]


def read_plain(answer: Answer) -> float:
    """Read `{"score": 0.5}`."""
    return float(orjson.loads(answer.body)["score"])


def read_mlflow(answer: Answer) -> float:
    """Read MLflow's scoring protocol, whose rows are records or plain numbers."""
    (row,) = orjson.loads(answer.body)["predictions"]
    return float(row["score"] if isinstance(row, dict) else row)


def read_v2(answer: Answer) -> float:
    """Read the Open Inference Protocol's only output, in JSON."""
    (output,) = orjson.loads(answer.body)["outputs"]
    return _number(output["data"])


def read_v2_binary(answer: Answer) -> float:
    """Read the Open Inference Protocol's only output, in binary if the server wrote it so."""
    match = JSON_LENGTH.search(answer.head)
    if match is None:
        return read_v2(answer)
    size = int(match[1])
    (output,) = orjson.loads(answer.body[:size])["outputs"]
    form = {"FP64": "<d", "FP32": "<f"}[output["datatype"]]
    (value,) = struct.unpack(form, answer.body[size:])
    return float(value)


def _number(data: Any) -> float:
    while isinstance(data, list):
        (data,) = data
    return float(data)


READERS: Mapping[str, Read] = {
    "plain": read_plain,
    "mlflow": read_mlflow,
    "v2": read_v2,
    "v2-binary": read_v2_binary,
}


class Checker:
    """Compares answers with the bare model's scores.

    Every answer is checked: one whose bytes were right for this row before is right again, any other is read.
    """

    def __init__(self, reader: str, expected: Sequence[float], *, tolerance: float) -> None:
        self._read = READERS[reader]
        self._expected = expected
        self._tolerance = tolerance
        self._seen: list[bytes | None] = [None] * len(expected)
        self.largest_difference = 0.0

    def is_right(self, row: int, answer: Answer) -> bool:
        """Whether an answer holds the score of a row."""
        if self._seen[row] == answer.body:
            return True
        try:
            difference = abs(self._read(answer) - self._expected[row])
        except (ValueError, KeyError, TypeError):
            return False
        if not difference <= self._tolerance:
            return False
        self.largest_difference = max(self.largest_difference, difference)
        self._seen[row] = answer.body
        return True
