"""Files of rows: the same rows in each format, in batches, and a cell of CSV means what it means to the endpoint."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.client.errors import FileUnfit, RowsUnfit
from lockstep.client.fitting import fitted
from lockstep.client.sources import Batch, format_of, read_batches
from lockstep.client.streaming import first_rows, rows_of
from lockstep.errors import RequestInvalid
from lockstep.run.plan import Column
from lockstep.scoring.signature import Signature
from tests.unit.serving.toy import csv_batch

INPUTS = (
    Column(name="text", dtype="string"),
    Column(name="number", dtype="double"),
    Column(name="seats", dtype="integer"),
    Column(name="wet", dtype="boolean"),
)
TABLE = pa.table(
    {
        "text": ["a", None, "007", 'ä,"\n'],
        "number": [1.5, None, -0.1, 1e300],
        "seats": pa.array([1, 2, 3, 4], pa.int32()),
        "wet": [True, False, True, True],
        "more": ["x", "y", "01", None],
    }
)
RECORDS = TABLE.to_pylist()


def arrow_bytes(write: Any) -> bytes:
    sink = io.BytesIO()
    with write(sink, TABLE.schema) as writer:
        writer.write_table(TABLE)
    return sink.getvalue()


def parquet_bytes() -> bytes:
    sink = io.BytesIO()
    pq.write_table(TABLE, sink)
    return sink.getvalue()


CSV = 'text,number,seats,wet,more\na,1.5,1,True,x\n,NaN,2,false,y\n007,-0.1,3,true,01\n"ä,""\n",1e300,4.0,TRUE,\n'
COLUMNS = {name: TABLE.column(name).to_pylist() for name in TABLE.column_names}
SPLIT = {"columns": TABLE.column_names, "data": [list(row.values()) for row in RECORDS]}
FILES: dict[str, bytes] = {
    "a.csv": CSV.encode("utf-8-sig"),
    "a.json": json.dumps(RECORDS).encode(),
    "records.json": json.dumps({"dataframe_records": RECORDS}).encode(),
    "split.json": json.dumps({"dataframe_split": SPLIT}).encode(),
    "inputs.json": json.dumps({"inputs": COLUMNS}).encode(),
    "a.jsonl": "\n".join(json.dumps(record) for record in RECORDS).encode() + b"\n\n",
    "a.parquet": parquet_bytes(),
    "a.feather": arrow_bytes(pyarrow.ipc.new_file),
    "a.arrows": arrow_bytes(pyarrow.ipc.new_stream),
}


class Pipe(io.RawIOBase):
    """Bytes that can only be read once, from their beginning."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._content.readinto(buffer)


def read(
    content: bytes, name: str = "-", *, kind: Any = None, rows: int = 100, inputs: Sequence[Column] = INPUTS
) -> list[Batch]:
    stream = io.BufferedReader(Pipe(content))
    return list(read_batches(stream, kind or format_of(name, stream), name="the rows", inputs=inputs, rows=rows))


@pytest.mark.parametrize("rows", [1, 3, 100])
@pytest.mark.parametrize("name", FILES)
def test_each_format_holds_the_same_rows(name: str, rows: int) -> None:
    batches = read(FILES[name], name, rows=rows)
    assert all(rows_of(batch) <= rows for batch in batches)
    found = pa.concat_tables([fitted(batch, INPUTS) for batch in batches])
    assert found.to_pydict() == TABLE.select(["text", "number", "seats", "wet"]).to_pydict()


@pytest.mark.parametrize("name", FILES)
def test_what_the_model_does_not_take_comes_along(name: str) -> None:
    (batch,) = read(FILES[name], name)
    more = batch["more"] if isinstance(batch, dict) else batch.column("more").to_pylist()
    assert list(more) == ["x", "y", "01", None]


@pytest.mark.parametrize("name", [name for name in FILES if not name.startswith(("records", "split", "inputs"))])
def test_a_pipe_is_known_by_how_it_begins(name: str) -> None:
    stream = io.BufferedReader(Pipe(FILES[name]))
    assert format_of("-", stream) == format_of(name, stream)
    assert stream.read() == FILES[name]


CELLS = st.sampled_from(
    ["", " ", "1", "1.0", " 2", "-1e400", "1e39", "NaN", "NA", "inf", "x", "1_0", "true", "FALSE", "2147483648"]
)


@given(rows=st.lists(st.tuples(CELLS, CELLS, CELLS, CELLS), min_size=1, max_size=4))
def test_a_cell_means_what_it_means_to_the_endpoint(rows: list[tuple[str, ...]]) -> None:
    body = "\n".join([",".join(column.name for column in INPUTS), *(",".join(row) for row in rows)]).encode()
    try:
        expected = csv_batch(body, Signature(INPUTS, ()))
    except RequestInvalid:
        with pytest.raises(RowsUnfit):
            [fitted(batch, INPUTS) for batch in read(body, kind="csv")]
        return
    (batch,) = read(body, kind="csv")
    assert fitted(batch, INPUTS).to_pydict() == expected.to_pydict()


@pytest.mark.parametrize(
    ("kind", "content", "message"),
    [
        ("csv", b"", "expected a header line"),
        ("csv", b"a,b\n1,2\nsecret\n", "row 1 has 1 values, the header 2"),
        ("csv", b"a,a\n1,2\n", "columns are given twice: a"),
        ("csv", b"text\nsecret\xff\n", "it is not valid csv"),
        ("csv", b'text\n"secret', "it is not valid csv"),
        ("json", b"secret", "it is not valid json"),
        ("json", b'{"secret": 1}', "expected an array of records"),
        ("json", b'["secret"]', "expected an array of records"),
        ("json", b'{"inputs": {"text": "secret"}}', "an array for every column"),
        ("json", b'{"inputs": {"text": ["secret"], "b": []}}', "it is not valid json"),
        ("json", b'{"dataframe_split": {"secret": []}}', "it is not valid json"),
        ("jsonl", b'{"text": "a"}\nsecret\n', "line 2 is not valid JSON"),
        ("jsonl", b"{}\n[]\n", "line 2 is no record"),
        ("jsonl", b'{"text": "secret"}\n{}\n', "row 1 lacks column 'text'"),
        ("parquet", b"secret", "it is not valid parquet"),
        ("parquet", parquet_bytes()[:-9], "it is not valid parquet"),
        ("arrow", b"secret", "it is not valid arrow"),
        ("arrow", arrow_bytes(pyarrow.ipc.new_stream)[:-50], "it is not valid arrow"),
        ("xml", b"<secret/>", "'xml' is no format"),
    ],
)
def test_a_bad_file_is_one_error_that_does_not_show_it(kind: str, content: bytes, message: str) -> None:
    with pytest.raises(FileUnfit, match=message) as caught:
        read(content, kind=kind)
    assert str(caught.value).startswith("the rows cannot be read: ")
    assert "secret" not in str(caught.value)


def test_only_the_first_rows_are_read() -> None:
    for name in ("a.csv", "a.parquet"):
        batches = read(FILES[name], name, rows=3)
        assert [[rows_of(b) for b in first_rows(batches, most)] for most in (1, 3, 4, 9)] == [[1], [3], [3, 1], [3, 1]]


def test_a_file_is_not_read_further_than_asked(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(RECORDS[0]) + "\n" + "no JSON\n" * 100_000)
    with path.open("rb") as stream:
        batches = first_rows(read_batches(stream, "jsonl", name="x", inputs=INPUTS, rows=1), 1)
        assert [rows_of(batch) for batch in batches] == [1]
        assert stream.tell() < path.stat().st_size
