import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.serving.asking import PROTOCOLS, Row, request_bytes

COLUMNS = ("f000", "f001", "f002")
FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


def body_of(name: str, row: Row, columns: tuple[str, ...]) -> tuple[dict[str, str], bytes]:
    whole = request_bytes(PROTOCOLS[name], row, columns, model="mlp20")
    head, body = whole.split(b"\r\n\r\n", 1)
    first, *lines = head.decode().split("\r\n")
    assert first == f"POST {PROTOCOLS[name].path.format(model='mlp20')} HTTP/1.1"
    headers = dict(line.split(": ", 1) for line in lines)
    assert int(headers["Content-Length"]) == len(body)
    return headers, body


@given(st.lists(FLOATS, min_size=3, max_size=3))
def test_every_format_carries_the_very_float32_values(values: list[float]) -> None:
    row = np.array(values, dtype=np.float32)
    told = {
        "plain": lambda content: content["features"],
        "dataframe_split": lambda content: content["dataframe_split"]["data"][0],
        "dataframe_records": lambda content: [content["dataframe_records"][0][name] for name in COLUMNS],
        "inputs": lambda content: [content["inputs"][name][0] for name in COLUMNS],
        "v2": lambda content: [tensor["data"][0] for tensor in content["inputs"]],
        "v2-matrix": lambda content: content["inputs"][0]["data"],
    }
    for name, read in told.items():
        _, body = body_of(name, row, COLUMNS)
        assert np.array(read(json.loads(body)), dtype=np.float32).tolist() == row.tolist()
    headers, body = body_of("v2-binary", row, COLUMNS)
    size = int(headers["Inference-Header-Content-Length"])
    assert [tensor["parameters"]["binary_data_size"] for tensor in json.loads(body[:size])["inputs"]] == [4, 4, 4]
    assert list(struct.unpack("<3f", body[size:])) == row.tolist()


@pytest.mark.parametrize("name", sorted(set(PROTOCOLS) - {"v2-binary"}))
def test_a_text_is_one_cell(name: str) -> None:
    _, body = body_of(name, "größer", ("text",))
    assert "größer" in body.decode()


def test_a_binary_text_is_counted() -> None:
    headers, body = body_of("v2-binary", "größer", ("text",))
    size = int(headers["Inference-Header-Content-Length"])
    assert json.loads(body[:size])["inputs"][0]["datatype"] == "BYTES"
    assert body[size:] == struct.pack("<I", 8) + "größer".encode()
