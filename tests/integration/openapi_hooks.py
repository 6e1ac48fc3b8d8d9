"""What a generator of requests cannot know from the document alone; schemathesis loads this file.

It makes bodies that are no JSON, gives binary ones the header that says how long their JSON is, sends a valid body to
the model that it is for, and gives all its columns the same number of rows, which a JSON schema cannot ask for. Only
`unload` is kept from models that are served: after it, refusing everything would be right.
"""

import csv
import datetime as dt
import io
import json
import math
import re
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import schemathesis
from hypothesis import strategies as st

from lockstep.scoring.signature import arrow_type
from tests.unit.serving.tensor_requests import Sent, binary_request, tensors
from tests.unit.serving.toy import INPUTS, SIGNATURE

COLUMNS, TENSORS = "every_type", "pictures"
INSIDE = re.compile(
    rb"Traceback|File \"|line \d+, in|<class|NoneType|[A-Z][a-z]+(Error|Exception)\b|site-packages|\\.py\b"
)
TIMEOUTS = ("X-Request-Timeout-Ms", "X-Envoy-Expected-Rq-Timeout-Ms")
HEADER = "Inference-Header-Content-Length"
SHAPES = {"picture": (2, 3), "codes": (3,)}
NAMES = [*SHAPES, *SIGNATURE.names]
TEXT_CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=6)
# MLflow itself takes no other years: its times are nanoseconds.
YEARS = {"min_value": dt.datetime(1680, 1, 1), "max_value": dt.datetime(2260, 1, 1)}  # noqa: DTZ001 - bounds have no zone
MOMENTS = st.datetimes(**YEARS, timezones=st.one_of(st.none(), st.timezones())).map(dt.datetime.isoformat)
ZONED = st.datetimes(**YEARS, timezones=st.sampled_from([dt.UTC, dt.timezone(dt.timedelta(hours=-9, minutes=-30))]))
CELLS: dict[str, st.SearchStrategy[Any]] = {
    "string": TEXT_CELLS,
    "double": st.floats() | st.integers(),
    "float": st.floats(width=32, allow_nan=False),
    "integer": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "boolean": st.sampled_from(["true", "False", "TRUE"]),
    "datetime": MOMENTS,
}


@st.composite
def csv_bodies(draw: st.DrawFn) -> bytes:
    """CSV of the model with every column type; sometimes a cell is garbage, or a piece of the body is cut off."""
    lines = draw(st.lists(st.tuples(*(CELLS[column.dtype] for column in INPUTS)), max_size=4))
    table = [[column.name for column in INPUTS], *map(list, lines)]
    if draw(st.integers(0, 3)) == 0:
        row = draw(st.sampled_from(table))
        row[draw(st.integers(0, len(row) - 1))] = draw(TEXT_CELLS)
    out = io.StringIO()
    csv.writer(out).writerows(table)
    body = out.getvalue().encode("utf-8")
    return body[: draw(st.integers(0, len(body)))] if draw(st.integers(0, 5)) == 0 else body


@st.composite
def binary_bodies(draw: st.DrawFn) -> bytes:
    """An inference request with binary tensors; sometimes damaged."""
    sent: list[Sent] = draw(tensors(SIGNATURE))
    apart = draw(st.lists(st.booleans(), min_size=len(sent), max_size=len(sent)))
    wanted = draw(st.sampled_from([{}, {"binary_data_output": True}, {"binary_data_output": 1}]))
    body, _ = binary_request(sent, apart, parameters=wanted)
    damage = draw(st.integers(0, 5))
    if damage == 0:
        return body[: draw(st.integers(0, len(body)))]
    if damage == 1:
        place = draw(st.integers(0, len(body) - 1))
        return body[:place] + draw(st.binary(min_size=1, max_size=3)) + body[place + 1 :]
    return body


schemathesis.openapi.format("date-time", ZONED.map(dt.datetime.isoformat))


@st.composite
def parquet_bodies(draw: st.DrawFn) -> bytes:
    """A Parquet file of the model's columns; sometimes damaged."""
    rows, file = draw(st.integers(0, 3)), io.BytesIO()
    pq.write_table(pa.table({c.name: pa.nulls(rows, arrow_type(c)) for c in INPUTS}), file)
    body = file.getvalue()
    place = draw(st.integers(0, len(body) - 1))
    if draw(st.booleans()):
        return body[:place] + draw(st.binary(min_size=1, max_size=3)) + body[place + 1 :]
    return body


schemathesis.openapi.media_type("text/csv", csv_bodies())
schemathesis.openapi.media_type("application/vnd.apache.parquet", parquet_bodies())
schemathesis.openapi.media_type("application/octet-stream", binary_bodies())


@schemathesis.hook
def before_load_schema(context: Any, raw_schema: dict[str, Any]) -> None:
    """Leave out the examples of CSV: what makes bodies itself can send none. Unit tests send them."""
    for methods in raw_schema["paths"].values():
        for operation in methods.values():
            operation.get("requestBody", {}).get("content", {}).get("text/csv", {}).pop("examples", None)


@schemathesis.deserializer("application/octet-stream")
def tensors_of(context: Any, response: Any) -> Any:
    """Read the JSON of a binary answer."""
    return binary_answer(response)[0]


@schemathesis.check
def binary_answers_add_up(context: Any, response: Any, case: Any) -> None:
    """The binary part of an answer is as long as its tensors."""
    if response.headers.get("content-type") == ["application/octet-stream"]:
        answer, left = binary_answer(response)
        sizes = [each.get("parameters", {}).get("binary_data_size", 0) for each in answer["outputs"]]
        assert sum(sizes) == left, sizes


@schemathesis.check
def answers_tell_nothing_of_the_inside(context: Any, response: Any, case: Any) -> None:
    """An error has no stack trace and no name of a Python type; 404 and 415 repeat a name from path or header."""
    if response.status_code >= 400 and response.status_code not in {404, 415}:
        assert not INSIDE.search(response.content), response.content


def binary_answer(response: Any) -> tuple[Any, int]:
    """Return the JSON of a binary answer, and how many bytes follow it."""
    (length,) = response.headers[HEADER.lower()]
    return json.loads(response.content[: int(length)]), len(response.content) - int(length)


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Complete a request just before it is sent."""
    if case.path.endswith("/unload"):
        case.path_parameters = {"name": "nobody"}
    be_patient(case)
    if case.media_type == "application/octet-stream" and isinstance(case.body, bytes):
        length = json_length(case.body)
        if length is not None and len(case.body) % 8:  # now and then the header stays as it was generated
            case.headers[HEADER] = str(length)
    elif is_valid(case) and isinstance(case.body, dict):
        case.headers.pop(HEADER, None)
        if "name" in case.path_parameters and "/repository/" not in case.path:
            case.path_parameters["name"] = TENSORS if "picture" in str(case.body) else COLUMNS
        even_rows(case.body)


# Bodies of which the document does not say which are valid.
UNDESCRIBED = {"text/csv", "application/octet-stream", "application/vnd.apache.parquet"}


def be_patient(case: Any) -> None:
    """Let no valid timeout pass before the answer: 504 would be right then."""
    for name in TIMEOUTS:
        text = str(case.headers.get(name, ""))
        if text.isdecimal() and len(text) <= 12 and int(text):
            case.headers[name] = "60000"
    parameters = case.body.get("parameters") if isinstance(case.body, dict) else None
    timeout = parameters.get("timeout") if isinstance(parameters, dict) else None
    if isinstance(timeout, int | float) and not isinstance(timeout, bool) and timeout > 0 and timeout == int(timeout):
        parameters["timeout"] = 60_000_000


def is_valid(case: Any) -> bool:
    """Whether a request was made to be one."""
    return case.meta is not None and case.meta.generation.mode is schemathesis.GenerationMode.POSITIVE


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """Whether a failure counts: the document says of JSON bodies only which are valid."""
    refused = type(failure).__name__ == "RejectedPositiveData"
    return not (refused and case.media_type in UNDESCRIBED)


def json_length(body: bytes) -> int | None:
    """Length of the JSON that a body begins with."""
    try:
        return json.JSONDecoder().raw_decode(body.decode("latin-1"))[1]
    except ValueError:
        return None


def even_rows(body: dict[str, Any]) -> None:
    """Cut all columns of a valid body to the shortest, and ask for each output once."""
    if isinstance(body.get("outputs"), list):
        body["outputs"] = list({each["name"]: each for each in body["outputs"]}.values())
    tensors_ = body.get("inputs")
    if isinstance(tensors_, list) and all(isinstance(each, dict) and "shape" in each for each in tensors_):
        even_tensors(tensors_)
    for form in ("inputs", "instances"):
        given = body.get(form)
        if not isinstance(given, dict):
            continue
        columns = {name: given[name] for name in NAMES if name in given}
        if columns and all(isinstance(values, list) for values in columns.values()):
            rows = min(map(len, columns.values()))
            body[form] = {**given, **{name: values[:rows] for name, values in columns.items()}}


def even_tensors(sent: list[dict[str, Any]]) -> None:
    """Cut tensors to the rows of the shortest, and let their shapes say so."""
    if not all(isinstance(t.get("data"), list) and isinstance(t["shape"], list) and t["shape"] for t in sent):
        return
    sizes = [row_size(each) for each in sent]
    rows = min((len(each["data"]) // size for each, size in zip(sent, sizes, strict=True)), default=0)
    for each, size in zip(sent, sizes, strict=True):
        each["data"] = each["data"][: rows * size]
        each["shape"] = [rows, *each["shape"][1:]]


def row_size(tensor: dict[str, Any]) -> int:
    """Values of a row, as they stand in the data: one when they are nested."""
    nested = tensor["data"] and isinstance(tensor["data"][0], list)
    return 1 if nested else math.prod(SHAPES.get(str(tensor.get("name")), ()))
